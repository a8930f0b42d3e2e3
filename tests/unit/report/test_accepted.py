"""What accepting changed, as who commits it reads it: a line a row, and nothing that asks for a look left out."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from gate.examples import MACHINE, make_row, make_session
from rich.console import Console

from tokgate import baselines
from tokgate.report.accepted import render_changes
from tokgate.report.units import from_to
from tokgate.session import Row, Session

pytestmark = pytest.mark.unit

GROUP = "qwen2.5-0.5b-dummy.vllm.fp16"
NOW = datetime(2026, 11, 21, 8, tzinfo=timezone.utc)
GPU = {"id": "nvidia-h200", "kind": "gpu"}
_UNITS = {"output_throughput": "tok/s", "peak_memory": "B", "energy_per_token": "J"}


def row(shape: str, metric: str, value: float, gated: bool = True, group: str = GROUP, **changes: Any) -> Row:
    better = "higher" if metric == "output_throughput" else "lower"
    return make_row(
        [[value]], scenario=f"{group}.{shape}", metric=metric, unit=_UNITS.get(metric, "s"), better=better, gated=gated,
        group=group, **changes,
    )  # fmt: skip


def rows(tok_s: float = 517.4, ttft_s: float = 0.018, memory: float = 2.0**31, shape: str = "b1.p5.o50") -> list[Row]:
    return [
        row(shape, "output_throughput", tok_s),
        row(shape, "ttft", ttft_s),
        row(shape, "peak_memory", memory, gated=False),
    ]


def night(number: int, *measured: Row, **changes: Any) -> Session:
    return make_session(number, measured or rows(), **{"machine": GPU, **changes})


class Store:
    """Accepts, and keeps what was said."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, *sessions: Session, verbose: bool = False, replace: bool = False, color: bool = False) -> str:
        changes = baselines.accept(sessions, self.root, reason="nights", replace=replace, now=NOW)
        text = io.StringIO()
        console = Console(file=text, width=80, highlight=False, force_terminal=color)
        console.print(render_changes(changes, sessions, verbose, 80), crop=False)
        return text.getvalue()


@pytest.fixture
def accept(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_row_is_a_line_of_its_gated_metrics_before_and_now(accept: Store) -> None:
    """Four nights and one that was a fifth faster: the means of their logarithms."""
    wide = rows(tok_s=30000, ttft_s=0.9, shape="b100.p128.o128")
    accept(*(night(number, *rows(), *wide) for number in range(4)))
    faster = rows(tok_s=517.4 * 1.2, ttft_s=0.018 / 1.2)
    said = accept(night(4, *faster, *rows(tok_s=20000, ttft_s=1.8, shape="b100.p128.o128")))
    assert said.splitlines() == [
        f"{accept.root}/nvidia-h200, profile nightly",
        f"{GROUP}  1 added; 5 accepted sessions",
        "                tok/s, worse by       TTFT, worse by",
        "b1.p5.o50         517 -> 537   -3.7%    18.0 -> 17.4 ms  -3.6%",
        "b100.p128.o128  30000 -> 27663 +7.8%  900 ms -> 1.03 s  +14.9%",
        "means over the accepted sessions, before -> now; worse by: + is worse",
        "not gated: told where it moved by more than its margin; all with --verbose",
    ]


def test_rows_stand_as_they_were_measured_not_as_their_files_are_sorted(accept: Store) -> None:
    shapes = ["b8.p5.o50", "b100.p128.o128", "b1.p5.o50"]
    said = accept(night(0, *(found for shape in shapes for found in rows(shape=shape))))
    assert [line.split()[0] for line in said.splitlines() if line.startswith("b")] == shapes


def test_a_first_baseline_has_nothing_to_be_worse_than(accept: Store) -> None:
    said = accept(night(0), night(1)).splitlines()
    assert said[1:4] == [
        f"{GROUP}  2 added; 2 accepted sessions",
        "           tok/s     TTFT",
        "b1.p5.o50    517  18.0 ms",
    ]
    assert said[-1] == "of fewer than 5 accepted sessions a baseline is provisional: accept more nights"
    assert "provisional" not in accept(*(night(number) for number in range(2, 5)))


def test_what_is_not_gated_is_told_where_it_moved_beyond_its_margin(accept: Store) -> None:
    """Of a GPU 6%, in one line of words below the row."""
    accept(night(0, *rows(), *rows(shape="b8.p5.o50")))
    said = accept(night(1, *rows(memory=1.1 * 2.0**31), *rows(memory=1.2 * 2.0**31, shape="b8.p5.o50"))).splitlines()
    assert [line for line in said if "GiB" in line] == ["  not gated: peak memory 2.00 -> 2.19 GiB, 9.5% worse"]
    assert said[said.index("  not gated: peak memory 2.00 -> 2.19 GiB, 9.5% worse") - 1].startswith("b8.p5.o50")


def test_the_margin_is_the_rows_own_or_that_of_its_machine_kind(accept: Store) -> None:
    own = [row("b1.p5.o50", "output_throughput", 100.0), row("b1.p5.o50", "tpot", 0.01, gated=False, margin_pct=1.0)]
    slower = [own[0], row("b1.p5.o50", "tpot", 0.0104, gated=False, margin_pct=1.0)]
    accept(night(0, *own))
    assert "not gated: TPOT 10.0 -> 10.2 ms, 2.0% worse\n" in accept(night(1, *slower))
    cpu = {"id": MACHINE, "kind": "cpu"}
    accept(night(0, machine=cpu))
    assert "not gated: peak" not in accept(night(1, *rows(memory=1.3 * 2.0**31), machine=cpu)), "14% of 20%"


def test_verbose_tells_every_metric(accept: Store) -> None:
    accept(night(0))
    energy = row("b1.p5.o50", "energy_per_token", 0.0241, gated=False)
    said = accept(night(1, *rows(), energy), verbose=True)
    assert "  peak memory       2.00 -> 2.00 GiB, 0.0% worse\n" in said
    assert "  energy per token  0.0241 J, new\n" in said
    assert "--verbose" not in said


def test_nothing_is_said_of_rows_that_did_not_change(accept: Store) -> None:
    accept(*(night(number) for number in range(5)))
    assert accept(night(4)).splitlines()[1:] == [f"{GROUP}  0 added, 1 already there; 5 accepted sessions"]


def test_rows_of_different_sessions_say_each_how_many(accept: Store) -> None:
    """After a kill in the middle, or where a night measured a part of the rows."""
    accept(night(0))
    said = accept(night(0, *rows(), *rows(shape="b8.p5.o50", tok_s=99.0))).splitlines()
    assert said[1] == GROUP
    assert said[3:5] == [
        "b1.p5.o50                  0 added, 1 already there; 1 accepted session",
        "b8.p5.o50   99.0  18.0 ms  1 added; 1 accepted session",
    ]


def test_starting_anew_says_what_it_dropped(accept: Store) -> None:
    accept(*(night(number) for number in range(5)))
    said = accept(night(9, *rows(tok_s=400.0)), replace=True)
    assert f"{GROUP}  1 added, 5 dropped; 1 accepted session\n" in said
    assert "b1.p5.o50  517 -> 400 +22.7%  18.0 -> 18.0 ms +0.0%\n" in said
    assert "provisional" in said


def test_a_session_older_than_all_that_are_kept_is_not_said_to_be_there(accept: Store) -> None:
    accept(*(night(number) for number in range(1, 31)))
    assert "0 added, 1 older than the newest 30; 30 accepted sessions\n" in accept(night(0))


def test_sessions_of_another_machine_under_the_same_id_stay_apart(accept: Store) -> None:
    """As the gate judges: five nights with 2 cores say nothing of one with 8, whatever the machine is called."""
    two, eight = ({"id": "edge", "kind": "cpu", "stable": {"usable_cores": cores}} for cores in (2, 8))
    accept(*(night(number, machine=two) for number in range(5)))
    said = accept(night(5, *rows(tok_s=2069.6), machine=eight)).splitlines()
    assert said[1:4] == [
        f"{GROUP}  1 added; 1 accepted session; 5 of usable_cores 2 stay apart",
        "           tok/s     TTFT",
        "b1.p5.o50   2070  18.0 ms",
    ]
    assert "provisional" in said[-1]
    said = accept(night(6, *rows(tok_s=2069.6), machine=eight)).splitlines()
    assert said[1] == f"{GROUP}  1 added; 2 accepted sessions; 5 of usable_cores 2 stay apart"
    assert said[3].startswith("b1.p5.o50  2070 -> 2070 +0.0%")


def test_a_late_session_of_another_machine_is_the_one_that_stays_apart(accept: Store) -> None:
    now, then = ({"id": "edge", "kind": "cpu", "stable": {"usable_cores": cores}} for cores in (8, 2))
    accept(*(night(number, machine=now) for number in range(1, 6)))
    said = accept(night(0, *rows(tok_s=100.0), machine=then))
    assert f"{GROUP}  1 added; 5 accepted sessions; 1 of usable_cores 2 stays apart\n" in said
    assert "b1.p5.o50  517 -> 517 -0.0%"


def test_a_gated_metric_that_the_accepted_sessions_have_not_is_new(accept: Store) -> None:
    first = [found for found in rows() if found.metric != "ttft"]
    accept(night(0, *first, *rows(shape="b8.p5.o50")))
    said = accept(night(1, *rows(), *rows(shape="b8.p5.o50"))).splitlines()
    assert said[3].split() == ["b1.p5.o50", "517", "->", "517", "+0.0%", "18.0", "ms", "new"]
    assert len(said[3]) == len(said[4]), "below each other"


def test_machines_profiles_and_groups_stand_apart(accept: Store) -> None:
    other = [row("c50.p512.o512", "tpot", 0.0018, group="qwen2.5-0.5b-dummy.serve.fp16")]
    said = accept(night(0, *rows(), *other), night(1, profile="quick"), night(2, machine={"id": "edge", "kind": "cpu"}))
    headings = [line for line in said.splitlines() if "profile" in line or "accepted session" in line][:-1]
    assert headings == [
        f"{accept.root}/edge, profile nightly",
        f"{GROUP}  1 added; 1 accepted session",
        f"{accept.root}/nvidia-h200, profile nightly",
        f"{GROUP}  1 added; 1 accepted session",
        "qwen2.5-0.5b-dummy.serve.fp16  1 added; 1 accepted session",
        f"{accept.root}/nvidia-h200, profile quick",
        f"{GROUP}  1 added; 1 accepted session",
    ]
    heads = [line.split() for line in said.splitlines() if line.startswith("  ")]
    assert heads == [["tok/s", "TTFT"], ["tok/s", "TTFT"], ["TPOT"], ["tok/s", "TTFT"]], "what each group gates"


def test_what_moved_beyond_its_margin_has_a_colour(accept: Store) -> None:
    accept(night(0))
    said = accept(night(1, *rows(tok_s=400.0, ttft_s=0.010)), color=True)
    (line,) = [line for line in said.splitlines() if "b1.p5.o50" in line]
    assert "\x1b[33m517 -> 455 +12.1%" in line, "yellow is worse"
    assert "\x1b[32m18.0 -> 13.4 ms -25.5%" in line, "green is better"


def test_figures_are_never_cut_off(accept: Store) -> None:
    """On a narrow terminal a table's line is left to it; words are broken between words."""
    shape = "users500.ramp60.c50.p512.o512"
    metrics = ["ttft", "tpot", "itl", "e2el", "p99_ttft"]
    accept(night(0, row(shape, "output_throughput", 100.0), *(row(shape, each, 0.1) for each in metrics)))
    slower = [row(shape, each, 0.2, gated=each != "e2el") for each in metrics]
    said = accept(night(1, row(shape, "output_throughput", 50.0), *slower))
    (line,) = [line for line in said.splitlines() if line.startswith("users500")]
    assert line.count(" -> ") == 5
    assert line.count("+41.4%") == 4
    assert "…" not in said
    assert "\n  not gated: E2EL 100 -> 141 ms, 41.4% worse\n" in said


@pytest.mark.parametrize(
    ("before", "after", "unit", "texts"),
    [
        (0.018, 0.0176, "s", ("18.0", "17.6 ms")),
        (0.99, 1.01, "s", ("990 ms", "1.01 s")),
        (2.0**30 - 1, 2.0**30, "B", ("1024 MiB", "1.00 GiB")),
        (517.4, 525.0, "tok/s", ("517", "525 tok/s")),
        (1.0, 2.0, "", ("1.00", "2.00")),
        (1.0, 1.0, "", ("1.00", "1.00")),
    ],
)
def test_a_unit_is_said_once_where_it_is_the_same(before: float, after: float, unit: str, texts: Any) -> None:
    assert from_to(before, after, unit) == texts
