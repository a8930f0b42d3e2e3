from __future__ import annotations

import errno
import json
import os

import msgspec
import pytest
from gate.examples import make_row, make_session, noisy_session
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate import session as sessions
from tokgate.errors import InputError

pytestmark = pytest.mark.unit


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=5), min_size=1, max_size=5))
def test_a_session_survives_its_file(tmp_path_factory, launches):
    folder = tmp_path_factory.mktemp("sessions")
    written = make_session(0, [make_row(launches, confirm=launches)])
    assert sessions.read(sessions.write(written, folder)) == written


def test_a_session_is_found_inside_a_pytest_benchmark_file(tmp_path):
    path = tmp_path / "0001_run.json"
    inner = json.loads(msgspec.json.encode(noisy_session(0)))
    path.write_text(json.dumps({"benchmarks": [], "tokgate": inner}))
    assert sessions.read(path) == noisy_session(0)


def benchmark_file(folder, told):
    path = folder / "0001_run.json"
    path.write_text(json.dumps({"benchmarks": [], "tokgate": told}))
    return path


def test_a_run_over_several_matrices_left_several_sessions(tmp_path):
    nights = [noisy_session(number) for number in range(3)]
    path = benchmark_file(tmp_path, json.loads(msgspec.json.encode(nights)))
    assert sessions.read_all(path) == nights
    with pytest.raises(InputError) as error:
        sessions.read(path)
    said = str(error.value)
    assert said.startswith(f"{path}: it holds 3 sessions, those of a run over several matrices, and one is wanted")
    assert "night-000, night-001, night-002; name the file of one, as .tokgate/sessions/night-000.json" in said


def test_what_holds_one_session_is_read_as_one_of_all(tmp_path):
    night = noisy_session(0)
    told = json.loads(msgspec.json.encode(night))
    assert sessions.read_all(sessions.write(night, tmp_path)) == [night]
    assert sessions.read_all(benchmark_file(tmp_path, told)) == [night]
    assert sessions.read(benchmark_file(tmp_path, [told])) == night


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ([], r'its list of sessions, "tokgate", is empty; expected a session '),
        ([1], "session 1 of 1: not a tokgate session: .*got `int`; expected a session "),
        (["good", {}], "session 2 of 2: not a tokgate session: .*; expected a session "),
        (["good", {"schema": 2}], "session 2 of 2: schema 2; this tokgate reads up to 1: upgrade"),
        (["good", {"schema": 1}], r"session 2 of 2: not a tokgate session: [^;]*$"),
        ([[]], "session 1 of 1: not a tokgate session: .*got `array`; expected a session "),
        (None, ": not a tokgate session: .*got `null`; expected a session "),
        ("x", ": not a tokgate session: .*got `str`; expected a session "),
    ],
)
def test_a_faulty_one_of_several_is_named_by_its_place(tmp_path, told, message):
    good = json.loads(msgspec.json.encode(noisy_session(0)))
    path = benchmark_file(tmp_path, [good if each == "good" else each for each in told] if type(told) is list else told)
    for read in (sessions.read, sessions.read_all):
        with pytest.raises(InputError, match=message) as error:
            read(path)
        assert str(error.value).startswith(f"{path}: ")


def test_the_documented_fields_are_enough(tmp_path):
    path = tmp_path / "s.json"
    path.write_text(
        """{"schema": 1, "id": "n1", "started": "2026-11-21T03:00:00Z", "profile": "nightly",
            "machine": {"id": "nvidia-t4", "kind": "gpu"}, "software": {"vllm": "0.26.0"},
            "valid": true, "reasons": [],
            "rows": [{"scenario": "qwen2.5-0.5b-dummy.vllm.fp16.b8.p5.o50", "metric": "output_throughput",
                      "unit": "tok/s", "better": "higher", "gated": true,
                      "launches": [[27259.7, 27401.2], [27566, 27310.9]]}]}"""
    )
    found = sessions.read(path)
    assert found.gated_family == 1
    assert found.rows[0].launches[1] == [27566.0, 27310.9]
    assert (found.machine_id, found.machine_kind) == ("nvidia-t4", "gpu")


def faulty(**changes):
    data = json.loads(msgspec.json.encode(noisy_session(0)))
    return {**data, **changes}


ROW = json.loads(msgspec.json.encode(make_row([[1.0]])))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (faulty(schema=2), "schema 2; this tokgate reads up to 1: upgrade"),
        (faulty(schema=0), "expected 1"),
        (faulty(id=""), "the id ''"),
        (faulty(machine={"id": "../up", "kind": "cpu"}), "machine.id"),
        (faulty(machine={"id": "m", "kind": "tpu"}), "'cpu' or 'gpu'"),
        (faulty(reasons=["swap"]), "marked valid and yet"),
        (faulty(valid=False), "gives no reason"),
        (faulty(rows=[]), "measured nothing"),
        (faulty(rows=[ROW, ROW]), "stands twice"),
        (faulty(rows=[{**ROW, "launches": []}]), "without values"),
        (faulty(rows=[{**ROW, "launches": [[1.0], []]}]), "without values"),
        (faulty(rows=[{**ROW, "launches": [[0.0]]}]), "above 0"),
        (faulty(rows=[{**ROW, "confirm": [[-1.0]]}]), "above 0"),
        (faulty(rows=[{**ROW, "pairs": [[1.0]]}]), "reference, candidate"),
        (faulty(rows=[{**ROW, "tolerance_pct": 100}]), "tolerance_pct"),
        (faulty(rows=[{**ROW, "scenario": "A b"}]), "scenario"),
        (faulty(rows=[{**ROW, "better": "faster"}]), r"not a tokgate session: [^;]*rows\[0\]\.better`$"),
        (faulty(given={"enforce_eager": None}), "given a setting that no engine has"),
        ({}, r"not a tokgate session: .*; expected a session .* or the pytest-benchmark file .* by tokgate judge"),
        ([], "not a tokgate session: .*; expected a session"),
    ],
)
def test_a_faulty_session_is_refused_by_file_and_fault(tmp_path, data, message):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=message) as error:
        sessions.read(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_no_json_or_is_not_there_is_refused(tmp_path):
    path = tmp_path / "s.json"
    with pytest.raises(InputError, match="cannot be read"):
        sessions.read(path)
    path.write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        sessions.read(path)


def test_what_cannot_be_written_is_named_by_its_own_name(tmp_path):
    """And not by that of a temporary file beside it, which is gone."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError) as error:
        sessions.write_atomically(folder, b"x")
    assert str(error.value) == f"[Errno 21] Is a directory: '{folder}'"
    assert list(tmp_path.iterdir()) == [folder]


def test_family_size_counts_the_profile_and_never_less_than_is_present():
    rows = noisy_session(0).rows
    assert make_session(0, rows, family_size=24).gated_family == 24
    assert make_session(0, rows, family_size=2).gated_family == len(rows)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, call):
    path = tmp_path / "f.json"
    sessions.write_atomically(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space"):
        sessions.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f.json"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path, there):
    (tmp_path / "real").mkdir()
    if there:
        (tmp_path / "real" / "page.html").write_bytes(b"old")
    (link := tmp_path / "link.html").symlink_to("real/page.html")
    sessions.write_atomically(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "page.html").read_bytes() == b"new"
    assert os.listdir(tmp_path / "real") == ["page.html"]
    assert sorted(os.listdir(tmp_path)) == ["link.html", "real"]


def test_links_that_lead_to_each_other_are_left_as_they_are(tmp_path):
    (link := tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=f"Too many levels of symbolic links: '{link}'"):
        sessions.write_atomically(link, b"new")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert link.is_symlink()


def test_a_written_file_has_the_users_mode(tmp_path):
    path = tmp_path / "f.json"
    umask = os.umask(0o027)
    try:
        sessions.write_atomically(path, b"x")
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o640
