"""What a session lacks: a scenario that was accepted is missed, unless a selection left it out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gate.examples import GROUP, make_row, make_session, noisy_session, scenario, store
from tokgate.gate.judge import judge_session
from tokgate.gate.limits import Limit
from tokgate.gate.unmeasured import measured_beside, without_notes_on
from tokgate.gate.verdict import Outcome, SessionVerdict, exit_status
from tokgate.session import Session

pytestmark = pytest.mark.unit

# Scenarios of two rows each.
ALL, FIRST, LAST = (0, 1, 2), scenario(0), scenario(2)


def night(number: int, *scenarios: int, group: str = GROUP, **changes: Any) -> Session:
    """A session of these scenarios; its family is the rows that it has, unless it is said."""
    session = noisy_session(number, **changes)
    rows = [
        msgspec.structs.replace(row, scenario=row.scenario.replace(GROUP, group))
        for row in session.rows
        if row.scenario in {scenario(each) for each in scenarios}
    ]
    return msgspec.structs.replace(session, rows=rows, family_size=changes.get("family_size", len(rows)))


def judged(session: Session, *accepted: Session, limits: tuple[Limit, ...] = ()) -> SessionVerdict:
    return judge_session(session, store(accepted), limits)


FIVE = [night(number, *ALL) for number in range(5)]


def test_what_a_whole_session_lacks_is_missed_named_and_3_where_a_baseline_is_required() -> None:
    found = judged(night(9, 0), *FIVE)
    assert found.missing == (scenario(1), LAST)
    assert f"not measured: {scenario(1)}, {LAST}: accepted in this profile" in " ".join(found.notes)
    assert found.outcome is Outcome.PASS
    assert (exit_status([found]), exit_status([found], require_baseline=True)) == (0, 3)


def test_a_session_that_does_not_tell_its_family_is_held_to_be_whole() -> None:
    assert judged(msgspec.structs.replace(night(9, 0), family_size=None), *FIVE).missing == (scenario(1), LAST)


def test_nothing_is_missed_where_all_was_measured() -> None:
    found = judged(night(9, *ALL), *FIVE)
    assert found.missing == ()
    assert not [note for note in found.notes if "not measured" in note]
    assert exit_status([found], require_baseline=True) == 0


def test_a_selection_lacks_rows_rightly_and_says_so() -> None:
    found = judged(night(9, 0, family_size=6), *FIVE)
    assert found.missing == ()
    assert any(note.startswith("2 accepted scenarios of this profile are not in this session") for note in found.notes)
    assert exit_status([found], require_baseline=True) == 0


def test_many_scenarios_that_a_session_lacks_are_told_by_group() -> None:
    others = [night(20 + number, *ALL, group=f"qwen2.5-7b-dummy.vllm.{name}") for number, name in enumerate("abcd")]
    (note,) = (note for note in judged(night(9, *ALL), *FIVE, *others).notes if "not in this session" in note)
    assert note == (
        "12 accepted scenarios of this profile are not in this session: 3 of qwen2.5-7b-dummy.vllm.a, "
        "3 of qwen2.5-7b-dummy.vllm.b, 3 of qwen2.5-7b-dummy.vllm.c and 3 more"
    )


def test_the_rows_of_another_matrix_of_the_machine_are_not_missed() -> None:
    """A machine's folder holds offline rows, served ones and those under users; a session is of one matrix."""
    others = [night(number + 20, *ALL, group="qwen2.5-7b-dummy.vllm.fp16") for number in range(5)]
    assert judged(night(9, *ALL), *FIVE, *others).missing == ()
    assert judged(night(9, 0, 1), *FIVE, *others).missing == (LAST,)


def test_a_scenario_that_newer_accepted_sessions_dropped_is_not_missed() -> None:
    assert judged(night(9, 0, 1), *FIVE, night(6, 0, 1)).missing == ()


def test_accepted_sessions_of_a_selection_dropped_nothing() -> None:
    assert judged(night(9, 0, 1), *FIVE, night(6, 0, 1, family_size=6)).missing == (LAST,)


def test_nothing_is_missed_of_another_profile() -> None:
    quick = [msgspec.structs.replace(night(number, 0), profile="quick") for number in range(11, 14)]
    newer = [night(number, *ALL) for number in range(20, 25)]
    assert judged(quick[2], *newer, *quick[:2]).missing == ()


def test_what_was_never_gated_is_not_missed() -> None:
    def shown(session: Session) -> Session:
        extra = make_row([[1.0]], scenario=scenario(7), gated=False)
        return msgspec.structs.replace(session, rows=[*session.rows, extra])

    assert judged(night(9, *ALL), *map(shown, FIVE)).missing == ()


def test_limits_of_what_was_not_measured_are_told_and_references_are_not() -> None:
    limits = (
        Limit(FIRST, "output_throughput", "min", 1.0, "tok/s", "a floor"),
        Limit(LAST, "output_throughput", "min", 1.0, "tok/s", "a floor"),
        Limit(LAST, "ttft", "max", 1.0, "s", "an SLO"),
        Limit("qwen2.5-7b.vllm.fp16.b1.p5.o50", "ttft", "reference", 1.0, "s", "published"),
    )
    found = judge_session(make_session(9, night(9, 0).rows), store([]), limits)
    assert [note for note in found.notes if note.startswith("not measured: ")] == [
        f"not measured: {LAST} (output_throughput, ttft): their limits were held against nothing"
    ]


def test_what_sessions_beside_measured_is_denied_by_no_note() -> None:
    limits = tuple(Limit(each, "ttft", "max", 1.0, "s", "an SLO") for each in (scenario(1), LAST))
    found = judged(night(9, 0, family_size=6), *FIVE, limits=limits)
    half, whole = without_notes_on({LAST}, found), without_notes_on({scenario(1), LAST, "other"}, found)
    assert half.notes == (
        f"1 accepted scenarios of this profile are not in this session: {scenario(1)}",
        f"not measured: {scenario(1)} (ttft): their limits were held against nothing",
    )
    assert whole.notes == ()
    assert without_notes_on((), found) == found
    assert (half.rows, half.outcome, half.limits) == (found.rows, found.outcome, found.limits)


def test_other_notes_stay_and_what_a_whole_session_lost_is_still_missed() -> None:
    """Its matrix had the scenario, and that another session measured it does not say where it went."""
    found = without_notes_on({scenario(1), LAST}, judged(night(9, 0, software={"onnxruntime": "1.32.0"}), *FIVE))
    assert found.missing == (scenario(1), LAST)
    assert exit_status([found], require_baseline=True) == 3
    changed, lost = found.notes
    assert "onnxruntime 1.31.1 -> 1.32.0" in changed
    assert lost.startswith(f"not measured: {scenario(1)}, {LAST}: accepted in this profile")


def test_beside_a_session_are_those_of_its_machine_and_profile() -> None:
    mine = night(9, 0)
    elsewhere = msgspec.structs.replace(night(10, 1), machine={"id": "other", "kind": "cpu"})
    quick = msgspec.structs.replace(night(11, 1), profile="quick")
    assert measured_beside(mine, [mine, elsewhere, quick]) == {FIRST}
    assert measured_beside(mine, [elsewhere, quick, night(12, 2)]) == {LAST}
    broken = msgspec.structs.replace(night(12, 2), valid=False, reasons=["disturbed"])
    assert measured_beside(mine, [broken]) == frozenset(), "of what is not believed nothing is known"
