"""The suite's row where rows were measured in pairs: their geometric mean, pair by pair."""

from __future__ import annotations

from dataclasses import replace

from tokgate.gate.defaults import mean_of, thresholds
from tokgate.gate.pairedrows import PairedNight
from tokgate.gate.ruling import Levels, rule
from tokgate.gate.scale import change_pct, delta_of
from tokgate.gate.suite import bounds, direction
from tokgate.gate.verdict import SuiteVerdict, Verdict
from tokgate.session import Session


def in_pairs(stored: SuiteVerdict, night: PairedNight, session: Session, levels: Levels) -> SuiteVerdict:
    """The suite's verdict by the pairs, where they can give one; else `stored`.

    Where every gated row of the profile was paired, their mean is the suite. Where some were, it can only say
    whether a stored REGRESSED is the code's or the host's.
    """
    mean = night.mean()
    if mean is None or len(night.rows) < 2:
        return stored
    whole = len(night.rows) == session.gated_family
    if not whole and stored.verdict is not Verdict.REGRESSED:
        return stored
    better = direction(night.rows)
    limits = mean_of([thresholds(row, session.machine_kind, paired=True) for row in night.rows])
    ruling = rule(mean, better, limits, night.level, levels)
    seen = f"geometric mean of {len(night.rows)} rows in {mean.pairs} interleaved pairs"
    verdict = ruling.verdict
    why = [f"{seen}: {bounds(ruling, limits)}"]
    if stored.verdict is Verdict.REGRESSED and verdict in (Verdict.PASS, Verdict.IMPROVED):
        verdict = Verdict.DRIFT
        why.append("slower than the accepted sessions, but the reference is as slow: the host moved, not the code")
    mde = mean.minimum_detectable(delta_of(limits.tolerance_pct, better), night.level, levels.power)
    return replace(
        stored,
        verdict=verdict,
        why=tuple(why),
        rows=len(night.rows),
        change_pct=change_pct(mean.delta, better),
        ci_pct=ruling.ci_pct,
        mde_pct=change_pct(mde, better),
        tolerance_pct=limits.tolerance_pct,
        margin_pct=limits.margin_pct,
    )
