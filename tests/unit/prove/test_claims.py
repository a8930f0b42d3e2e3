"""What breaks a claim, and that every claim belongs to a line of the table."""

from __future__ import annotations

import pytest

from tokgate.gate.defaults import default_thresholds
from tokgate.prove import situations
from tokgate.prove.claims import CLAIMS, TOLERANCE_PCT, Claim, findings
from tokgate.prove.rates import Rate

pytestmark = pytest.mark.unit

AT_MOST = Claim("gpu: unchanged", "stored5", 0.01, at_least=False)
AT_LEAST = Claim("gpu: 1 row 5% slower", "stored5", 0.90, at_least=True)


def test_only_bounds_wholly_on_the_wrong_side_break_it() -> None:
    assert not AT_MOST.broken_by(Rate(15, 1000)), "1.5% found, 0.8% possible"
    assert AT_MOST.broken_by(Rate(25, 1000))
    assert not AT_LEAST.broken_by(Rate(885, 1000))
    assert AT_LEAST.broken_by(Rate(870, 1000))
    assert AT_LEAST.broken_by(Rate(0, 10))


def test_what_was_not_measured_is_no_finding() -> None:
    rates = {AT_MOST.situation: {"stored5": Rate(0, 10)}}
    assert [finding.claim for finding in findings(rates, [AT_MOST, AT_LEAST])] == [AT_MOST]


def test_the_full_table_measures_every_claim_and_the_quick_one_both_noises() -> None:
    measured = {(line.id, column) for line in situations.full() for column in line.columns}
    assert {(claim.situation, claim.column) for claim in CLAIMS} <= measured
    quick = {(line.id, column) for line in situations.quick() for column in line.columns}
    kept = [claim for claim in CLAIMS if (claim.situation, claim.column) in quick]
    assert {(claim.situation.split(":")[0], claim.at_least) for claim in kept} == {
        ("gpu", True),
        ("gpu", False),
        ("cpu", True),
        ("cpu", False),
    }


def test_lines_are_told_apart_by_their_ids() -> None:
    ids = [line.id for line in situations.full()]
    assert len(ids) == len(set(ids))


def test_the_figures_are_for_the_tolerances_that_rows_have_by_default() -> None:
    for kind, tolerance_pct in TOLERANCE_PCT.items():
        for paired in (False, True):
            assert default_thresholds(kind, "output_throughput", paired).tolerance_pct == tolerance_pct
