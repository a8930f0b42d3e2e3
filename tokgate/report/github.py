"""Verdicts where GitHub shows them: a step's summary, annotations, and the text of an issue. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tokgate.gate.scale import size_text
from tokgate.gate.verdict import LimitVerdict, Outcome, RowVerdict, SessionVerdict, Verdict
from tokgate.judging import Judged
from tokgate.report.markdown import FENCE_OF, code, command, fence, is_fence, table
from tokgate.report.rows_table import with_interval
from tokgate.report.units import text_of
from tokgate.report.words import regressions, reservations

NOTHING = "Nothing was measured: no session was written. This run says nothing of speed."
# The runner keeps ten errors and ten warnings of a step, and drops the rest without a word.
MOST_ANNOTATIONS = 10
# GitHub refuses an issue of more than 65,536 characters, and a summary of more than 1 MiB.
ISSUE_CHARACTERS = 60_000
SUMMARY_CHARACTERS = 250_000
_COLUMNS = ("scenario", "metric", "verdict", "worse by [interval]", "accepted", "now", "sees from")
_ERRORS = (Verdict.REGRESSED, Verdict.INVALID)
_WARNINGS = (Verdict.INCONCLUSIVE, Verdict.NO_BASELINE, Verdict.DRIFT)
_MARKS = {Outcome.PASS: "✅", Outcome.FAIL: "❌", Outcome.INVALID: "❌"}


def step_summary(sessions: Sequence[Judged]) -> str:
    """Markdown for $GITHUB_STEP_SUMMARY: of each session the rows that need a reader first, all others folded."""
    parts = [_session(judged) for judged in sessions] or [["## tokgate", "", NOTHING]]
    return _cut([line for part in parts for line in part], SUMMARY_CHARACTERS)


def annotation_lines(sessions: Sequence[Judged], require_baseline: bool = False, strict: bool = False) -> list[str]:
    """Workflow commands, `::error ...` for what fails and `::warning ...` for what should be seen.

    At most `MOST_ANNOTATIONS` of a kind; the last then says how many more there are.
    """
    if not sessions:
        return [command("error", "tokgate", NOTHING)]
    found = [entry for judged in sessions for entry in _annotated(judged.verdict, require_baseline, strict)]
    errors = _most("error", [entry for level, *entry in found if level == "error"])
    return errors + _most("warning", [entry for level, *entry in found if level == "warning"])


def issue(sessions: Sequence[Judged], link: str | None = None) -> str:
    """The text of an issue: its title on the first line, then what is slower, what moved, and how to see it again."""
    lines = [issue_title(sessions), ""]
    if link:
        lines += [f"Run: {link}" if _plain(link) else f"Run: {code(link)}", ""]
    for judged in sessions:
        lines += _session(judged, folded=False)
    return _cut(lines if sessions else [*lines, NOTHING], ISSUE_CHARACTERS)


def issue_title(sessions: Sequence[Judged]) -> str:
    """One line of plain words: a title is not read as Markdown."""
    if not sessions:
        return "tokgate: nothing was measured"
    worst = min(sessions, key=lambda judged: _GRAVITY.index(judged.verdict.outcome))
    where = " ".join(worst.session.machine_id.split())
    return f"tokgate: {worst.verdict.outcome.value} on {where}, {_counted(worst.verdict)}"


_GRAVITY = (Outcome.INVALID, Outcome.FAIL, Outcome.NO_BASELINE, Outcome.INCONCLUSIVE, Outcome.PASS)


def _session(judged: Judged, folded: bool = True) -> list[str]:
    verdict = judged.verdict
    mark = _MARKS.get(verdict.outcome, "⚠️")
    lines = [f"## {mark} {verdict.outcome.value} on {code(judged.session.machine_id)}", "", _counted(verdict), ""]
    lines += [f"Session {code(judged.session.id)}, profile {code(judged.session.profile)}", ""]
    lines += [*fence(verdict.reasons), ""] if verdict.reasons else []
    needed = [row for row in verdict.rows if row.gated and row.verdict in (*_ERRORS, *_WARNINGS)]
    lines += [*table(_COLUMNS, map(_cells, needed)), ""]
    broken = [limit for limit in verdict.limits if limit.broken]
    lines += [*table(("limit", "metric", "broken"), map(_limit, broken)), ""]
    told = [*regressions(judged.session, verdict, judged.baselines), *reservations(verdict)]
    lines += [*fence(told), "", *_notes(verdict)]
    others = [row for row in verdict.rows if row.gated and row not in needed]
    if folded and others:
        lines += [f"<details><summary>{len(others)} other gated rows</summary>", ""]
        lines += [*table(_COLUMNS, map(_cells, others)), "", "</details>", ""]
    return lines


def _notes(verdict: SessionVerdict) -> list[str]:
    blind = [f"{len(verdict.blind)} gated rows would miss a change as large as their margin"] if verdict.blind else []
    notes = [*blind, *verdict.notes]
    return [*(f"- {code(note)}" for note in notes), ""] if notes else []


def _cells(row: RowVerdict) -> list[str]:
    before, now = (_value(value, row.unit) for value in (row.baseline_value, row.current_value))
    sees = "" if row.mde_pct is None else size_text(row.mde_pct)
    return [code(row.scenario), code(row.metric), str(row.verdict), _change(row), before, now, sees]


def _value(value: float | None, unit: str) -> str:
    return "" if value is None else code(text_of(value, unit))


def _change(row: RowVerdict) -> str:
    if row.change_pct is None:
        return ""
    return f"{with_interval(row.change_pct, row.ci_pct, 1)}{' paired' if row.pairs else ''}"


def _limit(limit: LimitVerdict) -> list[str]:
    return [code(limit.scenario), code(limit.metric), code(limit.why)]


def _counted(verdict: SessionVerdict) -> str:
    counts = Counter(str(row.verdict) for row in verdict.rows if row.gated)
    broken = sum(limit.broken for limit in verdict.limits)
    parts = [f"{count} {name}" for name, count in counts.most_common()]
    parts += [f"{broken} broken limit{'s' if broken > 1 else ''}"] if broken else []
    return ", ".join(parts) or "no gated row"


def _annotated(verdict: SessionVerdict, require_baseline: bool, strict: bool) -> Iterator[tuple[str, str, str]]:
    """(level, title, message) of each thing to annotate, a session's own reasons first."""
    for reason in verdict.reasons:
        yield "error", "INVALID session", reason
    for limit in verdict.limits:
        if limit.broken:
            yield "error", f"LIMIT {limit.scenario} {limit.metric}", limit.why
    for row in verdict.rows:
        level = _level(row.verdict, require_baseline, strict)
        if row.gated and level:
            yield level, f"{row.verdict} {row.scenario} {row.metric}", "\n".join(row.why)
    level = _level(verdict.suite.verdict, require_baseline, strict)
    if level:
        yield level, f"{verdict.suite.verdict} all rows together", "\n".join(verdict.suite.why)


def _level(verdict: Verdict | None, require_baseline: bool, strict: bool) -> str | None:
    """As pytest takes it: what fails a test there is an error here, what warns there a warning."""
    fails = verdict in _ERRORS or (verdict is Verdict.NO_BASELINE and require_baseline)
    if fails or (verdict is Verdict.INCONCLUSIVE and strict):
        return "error"
    return "warning" if verdict in _WARNINGS else None


def _most(level: str, entries: Sequence[Sequence[str]]) -> list[str]:
    shown = entries if len(entries) <= MOST_ANNOTATIONS else entries[: MOST_ANNOTATIONS - 1]
    lines = [command(level, title, message) for title, message in shown]
    left = len(entries) - len(shown)
    return [*lines, command(level, "tokgate", f"and {left} more: see the step's summary")] if left else lines


def _cut(lines: Sequence[str], most: int) -> str:
    """Whole lines up to `most` characters, so that GitHub does not refuse all of it; what is left out is told."""
    size = 0
    bar = ""
    for number, line in enumerate(lines):
        size += len(line) + 1
        if size > most:
            told = f"{len(lines) - number} more lines: tokgate judge tells all"
            return "\n".join([*lines[:number], *([bar] if bar else []), "", told])
        if not bar and is_fence(line):
            bar = line.removesuffix(FENCE_OF)
        elif line == bar:
            bar = ""
    return "\n".join(lines)


def _plain(link: str) -> bool:
    return link.startswith("https://") and link.isascii() and not set(link) & set(" \t\n<>()[]|`\"'\\")
