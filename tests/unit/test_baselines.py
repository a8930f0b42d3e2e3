from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import pytest
from filelock import FileLock
from gate.examples import (
    MACHINE,
    accuracy,
    five_nights,
    make_row,
    make_session,
    noisy_session,
    scenario,
    store,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate import baselines, session
from tokgate.errors import InputError, TokgateError
from tokgate.gate.judge import judge_session
from tokgate.gate.verdict import Outcome

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 21, 8, tzinfo=timezone.utc)
REPOSITORY = Path(__file__).parents[2]


def accept(sessions, root, **changes):
    return baselines.accept(sessions, root, **{"reason": "first nights", "who": "ci", "now": NOW, **changes})


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != baselines.LOCK_NAME)


def test_accepted_nights_are_what_a_new_one_is_judged_by(tmp_path):
    """From files to files, as continuous integration does it."""
    accept([session.read(session.write(night, tmp_path / "s")) for night in five_nights()], tmp_path / "b")
    loaded = baselines.load(tmp_path / "b", MACHINE)
    assert loaded.scenarios.keys() == store(five_nights()).scenarios.keys()
    assert judge_session(noisy_session(5), loaded).outcome is Outcome.PASS
    assert judge_session(noisy_session(5, slowdown=1.2), loaded).outcome is Outcome.FAIL
    assert judge_session(noisy_session(5), loaded) == judge_session(noisy_session(5), store(five_nights()))


def test_a_file_holds_its_provenance(tmp_path):
    night = noisy_session(0, provenance={"commit": "6b2d2d1"}, accuracy=[accuracy()])
    (change, *_) = accept([night], tmp_path)
    assert change.path == tmp_path / MACHINE / f"{scenario(0)}.json"
    (entry,) = baselines.load(tmp_path, MACHINE).scenarios[scenario(0)]
    assert (entry.id, entry.who, entry.reason, entry.commit) == ("night-000", "ci", "first nights", "6b2d2d1")
    assert entry.accepted == "2026-11-21T08:00:00+00:00"
    assert entry.fingerprint == night.machine
    assert entry.software == night.software
    assert entry.family_size == 6
    assert entry.accuracy == accuracy()
    assert len(entry.rows["ttft"].launches) == 3


def test_accepting_twice_changes_nothing_and_says_so(tmp_path):
    accept(five_nights(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    changes = accept(five_nights(), tmp_path, reason="again")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
    assert all(len(change.skipped) == 5 and not change.added and not change.written for change in changes)
    assert (changes[0].sessions, changes[0].profile) == (5, "nightly")


def test_a_change_holds_what_moved(tmp_path):
    """The means of five nights like each other, and of these and one that took twice as long."""
    first, *_ = accept(five_nights(), tmp_path)
    assert {(value.before, value.change_pct) for value in first.values} == {(None, None)}
    change, *_ = accept([noisy_session(6, slowdown=2.0)], tmp_path)
    assert (change.added, change.sessions, change.machine_id) == (("night-006",), 6, MACHINE)
    speed, ttft = change.values
    assert (speed.metric, speed.unit, speed.gated) == ("output_throughput", "tok/s", True)
    assert speed.before == next(value.after for value in first.values if value.metric == speed.metric)
    assert speed.after < speed.before
    assert ttft.after > ttft.before
    assert speed.change_pct == pytest.approx(100 * (1 - 2 ** (-1 / 6)), abs=1), (
        "positive is worse, for a throughput too"
    )
    assert ttft.change_pct == pytest.approx(100 * (2 ** (1 / 6) - 1), abs=1)


def test_the_newest_thirty_are_kept_of_each_profile(tmp_path):
    accept([noisy_session(0, profile="quick")], tmp_path)
    accept([noisy_session(number) for number in range(1, 29)], tmp_path)
    changes = accept([noisy_session(number) for number in range(29, 34)], tmp_path)
    entries = baselines.load(tmp_path, MACHINE).scenarios[scenario(0)]
    assert [entry.profile for entry in entries].count("nightly") == 30
    assert [entry.profile for entry in entries].count("quick") == 1
    assert changes[0].dropped == ("night-001", "night-002", "night-003")
    older, *_ = accept([noisy_session(2)], tmp_path)
    assert (older.outdated, older.skipped, older.written) == (("night-002",), (), False)


def test_replace_starts_one_profile_anew(tmp_path):
    accept([noisy_session(0, profile="quick"), *(noisy_session(number) for number in range(1, 6))], tmp_path)
    changes = accept([noisy_session(9)], tmp_path, replace=True)
    entries = baselines.load(tmp_path, MACHINE).scenarios[scenario(0)]
    assert [(entry.id, entry.profile) for entry in entries] == [
        ("night-000", "quick"),
        ("night-009", "nightly"),
    ]
    assert len(changes[0].dropped) == 5
    again = accept([noisy_session(9)], tmp_path, replace=True)
    assert again[0].skipped == ("night-009",)


def test_one_id_with_two_sets_of_values_is_refused(tmp_path):
    accept([noisy_session(0)], tmp_path)
    other = msgspec.structs.replace(noisy_session(1), id="night-000")
    with pytest.raises(InputError, match="with other values"):
        accept([other], tmp_path)
    accept([other], tmp_path, replace=True)
    assert judge_session(noisy_session(9), baselines.load(tmp_path, MACHINE)).rows[0].sessions == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid": False, "reasons": ["throttled"]}, "cannot be accepted: throttled"),
        ({"accuracy": [accuracy(real_weights=True, top1_agreement=0.5)]}, "computes something else"),
        ({"started": "last night"}, "RFC 3339"),
        (
            {"given": {"enforce_eager": True}},
            "enforce_eager=true, which its rows' ids do not say: it cannot be accepted; "
            "measure without pytest's --perf-set, or ",
        ),
    ],
)
def test_what_cannot_be_believed_is_not_stored(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        accept([noisy_session(0), noisy_session(1, **changes)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_outputs_are_not_stored_beside_the_right_ones(tmp_path):
    accept([noisy_session(0, accuracy=[accuracy()])], tmp_path)
    wrong = noisy_session(1, accuracy=[accuracy(logit_distance=0.9)])
    with pytest.raises(InputError, match="its outputs changed"):
        accept([wrong], tmp_path)
    accept([wrong], tmp_path, replace=True)
    assert [entry.id for entry in baselines.load(tmp_path, MACHINE).scenarios[scenario(0)]] == ["night-001"]


def test_a_reason_and_a_session_are_required(tmp_path):
    with pytest.raises(InputError, match="--reason"):
        accept(five_nights(), tmp_path, reason=" ")
    with pytest.raises(InputError, match="no session"):
        accept([], tmp_path)


def test_sessions_of_two_machines_go_to_two_folders(tmp_path):
    other = {"id": "nvidia-t4", "kind": "gpu"}
    accept([noisy_session(0), noisy_session(1, machine=other)], tmp_path)
    assert names(tmp_path) == [MACHINE, "nvidia-t4"]
    assert baselines.load(tmp_path, "nvidia-t4").scenarios[scenario(0)][0].id == "night-001"


def test_a_machine_without_a_folder_has_no_baselines(tmp_path):
    assert baselines.load(tmp_path, MACHINE).scenarios == {}
    with pytest.raises(InputError, match="machine id"):
        baselines.load(tmp_path, "../elsewhere")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_edited_number_is_ever_used(tmp_path_factory, data):
    """Whatever digit of a file is changed, it is refused; so no value in use was written by hand."""
    root = tmp_path_factory.mktemp("baselines")
    accept([make_session(0, [make_row([[100.25], [99.5]])])], root)
    path = root / MACHINE / f"{scenario(0)}.json"
    content = bytearray(path.read_bytes())
    digits = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
    place = data.draw(st.sampled_from(digits))
    digit = data.draw(st.sampled_from([byte for byte in b"0123456789" if byte != content[place]]))
    content[place] = digit
    path.write_bytes(content)
    with pytest.raises(InputError, match=str(path)):
        baselines.load(root, MACHINE)


def test_a_file_of_another_machine_or_scenario_is_refused(tmp_path):
    accept([noisy_session(0)], tmp_path)
    (tmp_path / "other").mkdir()
    path = tmp_path / MACHINE / f"{scenario(0)}.json"
    (tmp_path / "other" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="never copied or renamed"):
        baselines.load(tmp_path, "other")
    path.rename(path.with_name("tiny.onnx.fp32.b1.p5.o50.json"))
    with pytest.raises(InputError, match="never copied or renamed"):
        baselines.load(tmp_path, MACHINE)


def test_a_damaged_store_is_not_added_to(tmp_path):
    accept([noisy_session(0)], tmp_path)
    path = tmp_path / MACHINE / f"{scenario(0)}.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="git checkout"):
        accept([noisy_session(1)], tmp_path)


KILLED = """
import os, signal, sys
from datetime import datetime, timezone
from pathlib import Path
from tokgate import baselines, session

calls, replace = [], os.{call}
def dying(*arguments):
    calls.append(arguments)
    if len(calls) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(*arguments)
os.{call} = dying
night, root = session.read(Path(sys.argv[1])), Path(sys.argv[2])
baselines.accept([night], root, reason="r", now=datetime.now(timezone.utc))
"""


@pytest.mark.parametrize(("call", "after"), [("replace", 1), ("replace", 2), ("fsync", 3)])
def test_a_kill_in_the_middle_leaves_whole_files_and_the_next_accept_finishes(tmp_path, call, after):
    night, root = noisy_session(5), tmp_path / "b"
    accept(five_nights(), root)
    path = session.write(night, tmp_path / "s")
    script = textwrap.dedent(KILLED).format(call=call, after=after)
    killed = subprocess.run([sys.executable, "-c", script, path, root], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    entries = baselines.load(root, MACHINE).scenarios
    assert sorted({len(stored) for stored in entries.values()}) == ([5] if (call, after) == ("replace", 1) else [5, 6])
    assert len(names(root / MACHINE)) == 4
    changes = accept([night], root)
    assert {len(stored) for stored in baselines.load(root, MACHINE).scenarios.values()} == {6}
    assert len(names(root / MACHINE)) == 3
    assert sum(bool(change.added) for change in changes) == 3 - (after - 1)


def test_a_full_disk_leaves_whole_files_and_says_what_to_do(tmp_path, monkeypatch):
    accept(five_nights(), tmp_path)
    fsync, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TokgateError, match=r"No space left on device.*run the same command again"):
        accept([noisy_session(5)], tmp_path)
    assert names(tmp_path / MACHINE) == [f"{scenario(number)}.json" for number in range(3)]
    accept([noisy_session(5)], tmp_path)
    assert {len(stored) for stored in baselines.load(tmp_path, MACHINE).scenarios.values()} == {6}


def test_a_second_accept_waits_for_the_first_and_gives_up_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "LOCK_TIMEOUT_S", 0.1)
    (tmp_path / MACHINE).mkdir()
    with (
        FileLock(tmp_path / MACHINE / baselines.LOCK_NAME),
        pytest.raises(TokgateError, match="another tokgate accept"),
    ):
        accept([noisy_session(0)], tmp_path)
    assert names(tmp_path / MACHINE) == []


def test_limits_are_read_beside_the_baselines(tmp_path):
    assert baselines.load_limits(tmp_path, "nvidia-t4") == []
    folder = tmp_path / "nvidia-t4"
    folder.mkdir()
    limits = folder / baselines.LIMITS_NAME
    limits.write_text(
        '[[limit]]\nscenario = "qwen2.5-0.5b.serve.fp16.c50.p512.o512"\nmetric = "output_throughput"\n'
        'min = 3332\nunit = "tok/s"\nsource = "the published floor"\n'
    )
    (limit,) = baselines.load_limits(tmp_path, "nvidia-t4")
    assert (limit.bound, limit.limit, limit.source) == ("min", 3332.0, "the published floor")
    assert baselines.load(tmp_path, "nvidia-t4").scenarios == {}
    limits.write_text("[[limit]\n")
    with pytest.raises(InputError, match=r"limits\.toml: cannot be read"):
        baselines.load_limits(tmp_path, "nvidia-t4")
    limits.write_text("[[limt]]\n")
    with pytest.raises(InputError, match="did you mean 'limit'"):
        baselines.load_limits(tmp_path, "nvidia-t4")
