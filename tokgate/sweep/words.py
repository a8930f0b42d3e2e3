"""What a sweep says in sentences: who won, who cannot be told apart, what was lost, what could not have been seen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from tokgate.report.html.figures.base import metric_name
from tokgate.report.units import text_of
from tokgate.rootcause import in_a_line
from tokgate.sweep.candidates import Candidate
from tokgate.sweep.constraints import Holds
from tokgate.sweep.outcome import Outcome
from tokgate.sweep.ranking import Entry, Status
from tokgate.sweep.winner import Winner

_MOST_NAMED = 8
_HOLDS = {Holds.KEPT: "kept by", Holds.BROKEN: "broken by", Holds.OPEN: "cannot be told of"}
# Of an interval: beyond it the figures say nothing.
_WIDEST_PCT = 999.0


def sentence(outcome: Outcome) -> str:
    """The outcome, as one would say it."""
    ranking = outcome.ranking
    best = ranking.best
    if best is None and ranking.entries:
        return f"None of {_settings(len(ranking.entries))} keeps the constraints."
    if best is None:
        return f"Nothing can be ranked: no setting of {len(ranking.lost)} gave figures that can be believed."
    value, total = value_of(outcome, best), _settings(len(ranking.entries))
    peers = ranking.of(Status.LEVEL)
    provisional = ", if it keeps the constraints, which cannot be told" if best.measured.holds is Holds.OPEN else ""
    if not peers:
        others = " that keep the constraints" if ranking.of(Status.BREAKS) else ""
        is_ahead = ranking.of(Status.BEHIND) and not ranking.of(Status.OPEN)
        lead = f" ahead of all others{others}" if is_ahead else ""
        return f"{best.measured.candidate} is the best of {total}, {value}{lead}{provisional}."
    others = f"{len(peers)} other{'s' if len(peers) > 1 else ''}"
    return (
        f"{best.measured.candidate} is the best as measured, {value}, but {others} of {total} "
        f"cannot be told apart from it{provisional}."
    )


def groups(outcome: Outcome) -> Iterator[str]:
    """A line for each set of settings that cannot be told apart."""
    for group in outcome.ranking.groups:
        yield f"these {len(group)} cannot be told apart: {named(group)}"


def reservations(outcome: Outcome) -> Iterator[str]:
    """What a reader should know beside the ranking."""
    ranking = outcome.ranking
    for place, constraint in enumerate(outcome.sweep.constraints if ranking.entries else ()):
        found = Counter(entry.measured.held[place].holds for entry in ranking.entries)
        told = [f"{word} {found[holds]}" for holds, word in _HOLDS.items() if found[holds]]
        yield f"{constraint}: {', '.join(told)} of {len(ranking.entries)}"
    for entry in ranking.of(Status.OPEN):
        best = ranking.best
        ahead = " would be ahead of the best, but" if best is not None and (entry.behind_pct or 0.0) < 0 else ":"
        yield f"{entry.measured.candidate}{ahead} whether it keeps the constraints cannot be told: {broken(entry)}"
    for entry in ranking.entries:
        yield from (f"{entry.measured.candidate}: {told}" for told in _failures(entry))
    if ranking.sees_pct is not None:
        compared = f"{len(ranking.entries)} settings in {outcome.sweep.spec.launches} launches each"
        if ranking.sees_pct == math.inf:
            yield f"{compared} can hardly tell any two apart: measure more launches, or at a quieter time"
        else:
            yield f"a setting {ranking.sees_pct:.1f}% worse than the best would have been told from it, by {compared}"


def winner_lines(winner: Winner) -> Iterator[tuple[str, str]]:
    """What to do with the winner: name and text."""
    if winner.command:
        yield "command", winner.command
        yield "its model", winner.note
    yield "scenario", winner.scenario
    yield "as a matrix", str(winner.matrix)
    yield "its variant", str(winner.variants)


def value_of(outcome: Outcome, entry: Entry) -> str:
    """The objective's value, in words: "138 tok/s", "TTFT 12.3 ms"."""
    objective = outcome.sweep.objective
    value = text_of(entry.measured.levels[objective.name].value, objective.unit)
    return value if objective.unit == "tok/s" else f"{metric_name(objective.name)} {value}"


def broken(entry: Entry) -> str:
    """The constraints that are not surely kept, with their figures."""
    return "; ".join(held.why for held in entry.measured.held if held.holds is not Holds.KEPT)


def why(entry: Entry) -> list[str]:
    """Everything that stands behind an entry, a line each."""
    held = (f"{held.why}: {held.holds}" for held in entry.measured.held)
    return [*held, *_failures(entry), *entry.measured.notes]


def _failures(entry: Entry) -> list[str]:
    """How many of its launches failed, and why the newest of them did."""
    found = entry.measured.failures
    return [f"{found}: {in_a_line(found.why)}"] if found is not None else []


def named(candidates: Sequence[Candidate]) -> str:
    shown = ", ".join(map(str, candidates[:_MOST_NAMED]))
    return shown if len(candidates) <= _MOST_NAMED else f"{shown} and {len(candidates) - _MOST_NAMED} more"


def behind(entry: Entry, digits: int = 1) -> str:
    """ "+3.1% [+1.0, +5.2]": how much worse than the best."""
    if entry.behind_pct is None or entry.interval_pct is None:
        return ""
    low, high = entry.interval_pct
    if max(high, -low) > _WIDEST_PCT:
        return f"{entry.behind_pct:+.{digits}f}% [?, ?]"
    return f"{entry.behind_pct:+.{digits}f}% [{low:+.{digits}f}, {high:+.{digits}f}]"


def _settings(count: int) -> str:
    return f"{count} setting{'' if count == 1 else 's'}"
