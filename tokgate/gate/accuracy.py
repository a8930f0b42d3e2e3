"""Accuracy beside speed: an engine that is fast because it computes something else must fail.

Absolute limits are for real weights; only FP32, which has to reproduce its reference, has one for any
weights. Dummy weights exaggerate distances (INT8 agrees on 2 to 30% of greedy tokens), so there a figure is
held against its own accepted values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tokgate.errors import InputError
from tokgate.gate.history import Accepted
from tokgate.gate.verdict import RowVerdict, Verdict
from tokgate.session import Accuracy


@dataclass(frozen=True)
class AbsoluteLimits:
    """`min_top1_agreement` holds for real weights, `max_logit_diff` (in logits) for any."""

    min_top1_agreement: float
    max_logit_diff: float | None = None


# FP32: an exact export differs by 7e-6 logits; 1e-2 leaves room for another order of summation and none for
# another function. BF16 and FP16 round 8 or 11 bits, which flips near ties. INT8 and below lose real
# information: below these agreements the output is visibly another model's.
ABSOLUTE_LIMITS = {
    "fp32": AbsoluteLimits(0.99, max_logit_diff=1e-2),
    "bf16": AbsoluteLimits(0.90),
    "fp16": AbsoluteLimits(0.90),
    "int8": AbsoluteLimits(0.80),
    "int4": AbsoluteLimits(0.60),
    "bnb4": AbsoluteLimits(0.60),
}
# Dummy weights, against the mean of the accepted values.
TOP1_DROP = 0.10
LOGIT_DISTANCE_RATIO = 1.25
LOGIT_DISTANCE_SLACK = 0.01


def precision_of(group: str) -> str:
    """The precision in a group's or scenario's id. Raises InputError if there is none."""
    for part in group.split("."):
        if part in ABSOLUTE_LIMITS:
            return part
    raise InputError(f"{group!r} names no precision; expected one of {', '.join(ABSOLUTE_LIMITS)}")


def absolute_faults(accuracy: Accuracy, precision: str) -> list[str]:
    """What makes outputs wrong whatever was accepted before; a session with a fault is invalid."""
    limits = ABSOLUTE_LIMITS.get(precision)
    if limits is None:
        raise InputError(f"precision is {precision!r}; expected one of {', '.join(ABSOLUTE_LIMITS)}")
    name = f"{accuracy.group} against {accuracy.reference}"
    if accuracy.positions < 1:
        return [f"{name}: no position was compared: the outputs are unchecked; compare one prompt or more"]
    faults = []
    figures = (accuracy.top1_agreement, accuracy.logit_distance, accuracy.max_logit_diff)
    if not all(math.isfinite(figure) for figure in figures):
        faults.append(f"{name}: accuracy figures are not finite: {figures}")
    if accuracy.real_weights and not accuracy.top1_agreement >= limits.min_top1_agreement:
        faults.append(
            f"{name}: the engine agrees on {accuracy.top1_agreement:.1%} of greedy tokens, at least "
            f"{limits.min_top1_agreement:.0%} expected of {precision}; it computes something else"
        )
    if limits.max_logit_diff is not None and not accuracy.max_logit_diff <= limits.max_logit_diff:
        faults.append(
            f"{name}: logits differ by up to {accuracy.max_logit_diff:.3g}, at most "
            f"{limits.max_logit_diff:g} expected of {precision}; rebuild the model and check the export"
        )
    return faults


def compare_accuracy(now: Accuracy, accepted: Sequence[Accepted]) -> list[RowVerdict]:
    """Row verdicts for dummy weights' agreement and distance; none for real weights, which have limits.

    `accepted`: comparable accepted sessions of the group's scenarios; each session counts once.
    """
    if now.real_weights:
        return []
    sessions = {
        entry.id: entry
        for entry in sorted(accepted, key=lambda entry: entry.when)
        if entry.accuracy is not None and entry.accuracy.group == now.group
    }
    entries = list(sessions.values())
    figures = [entry.accuracy for entry in entries if entry.accuracy is not None]
    top1 = [figure.top1_agreement for figure in figures]
    distance = [figure.logit_distance for figure in figures]
    return [
        _row(now.group, "top1_agreement", now.top1_agreement, top1, entries),
        _row(now.group, "logit_distance", now.logit_distance, distance, entries),
    ]


def missing_accuracy(group: str, accepted: Sequence[Accepted]) -> RowVerdict:
    """The verdict on a group whose accepted sessions had their outputs checked, and this one not."""
    ids = {entry.id for entry in accepted}
    why = (
        f"the outputs of {group} were checked in {len(ids)} accepted sessions and not in this one; "
        "a speed without it says little: measure with the accuracy check",
    )
    return RowVerdict(group, "top1_agreement", Verdict.INCONCLUSIVE, why, better="higher")


def _row(group: str, metric: str, now: float, values: list[float], accepted: list[Accepted]) -> RowVerdict:
    higher = metric == "top1_agreement"
    if not values:
        why = "no accepted session holds this figure; accept one once the outputs have been looked at"
        return RowVerdict(
            group,
            metric,
            Verdict.NO_BASELINE,
            (why,),
            better="higher" if higher else "lower",
            current_value=now,
        )
    mean = math.fsum(values) / len(values)
    bound = mean - TOP1_DROP if higher else mean * LOGIT_DISTANCE_RATIO + LOGIT_DISTANCE_SLACK
    holds = now >= bound if higher else now <= bound
    seen = (
        f"{metric} {now:.3f}, {mean:.3f} in {len(values)} accepted sessions, "
        f"{'at least' if higher else 'at most'} {bound:.3f} allowed"
    )
    remedy = "the outputs changed with the speed: check the engine, the export and the quantisation"
    change = 0.0 if mean == 0 else 100.0 * (1 - now / mean if higher else now / mean - 1)
    return RowVerdict(
        group,
        metric,
        Verdict.PASS if holds else Verdict.REGRESSED,
        (seen,) if holds else (seen, remedy),
        unit="share",
        better="higher" if higher else "lower",
        change_pct=change,
        baseline_value=mean,
        current_value=now,
        sessions=len(values),
        last_session=accepted[-1].id,
        last_started=accepted[-1].started,
    )
