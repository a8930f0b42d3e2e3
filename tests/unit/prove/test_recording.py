"""A recording: its order, its file, and that it goes on where it was interrupted."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from prove.recordings import head, recording
from tokgate.cli import main
from tokgate.errors import InputError
from tokgate.launch import LaunchRecord
from tokgate.metrics import Round
from tokgate.plan import LaunchPlan
from tokgate.prove import record
from tokgate.prove.recording import INFLATIONS, PLAIN, Recording, left, order, read, resume, write

pytestmark = pytest.mark.unit


def test_plain_and_inflated_launches_are_interleaved() -> None:
    launches = list(islice(order(), 96))
    assert Counter(launches) == {PLAIN: 48, **dict.fromkeys(INFLATIONS, 12)}
    for cycle in range(12):
        assert Counter(launches[8 * cycle : 8 * cycle + 8]) == {PLAIN: 4, **dict.fromkeys(INFLATIONS, 1)}
    assert launches[:8] != launches[8:16]


def test_what_is_left_is_the_rest_of_the_same_order() -> None:
    found = recording(cycles=2)
    assert left(found, plain=8) == []
    assert left(found, plain=10) == list(islice(order(), 16, 24)), "whole cycles"


def test_a_recording_comes_back_as_it_was_written(tmp_path: Path) -> None:
    found = recording(cycles=1)
    write(found, tmp_path / "deep" / "r.json")
    assert read(tmp_path / "deep" / "r.json") == found


@pytest.mark.parametrize("content", ["{", "{}", '{"schema": 1, "head": 3, "launches": []}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(InputError, match="no recording"):
        read(tmp_path / "r.json")
    assert main(["prove", "--recording", str(tmp_path / "r.json")]) == 2


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    found = recording(cycles=1)
    found.schema = 2
    write(found, tmp_path / "r.json")
    with pytest.raises(InputError, match="schema 2"):
        read(tmp_path / "r.json")


def test_launches_of_another_machine_or_version_do_not_mix(tmp_path: Path) -> None:
    write(recording(cycles=1), tmp_path / "r.json")
    assert len(resume(tmp_path / "r.json", head()).launches) == 8
    later = {"id": "edge-2c-24g", "kind": "cpu", "stable": {"cpu_name": "Edge"}, "recorded": {"kernel": "6.9"}}
    assert len(resume(tmp_path / "r.json", head(machine=later)).launches) == 8, "a kernel is no other machine"
    with pytest.raises(InputError, match=re.escape("{'onnxruntime': '1.31.1'}, is {'onnxruntime': '2'}")):
        resume(tmp_path / "r.json", head(software={"onnxruntime": "2"}))


class Worker:
    """Launches that are written down; the plans it was given are kept. `disturbed`: how many first ones are."""

    def __init__(self, interrupt_at: int | None = None, disturbed: int = 0) -> None:
        self.plans: list[LaunchPlan] = []
        self._interrupt_at = interrupt_at
        self._disturbed = disturbed

    def __call__(self, plan: LaunchPlan, python: str, on_round: object) -> LaunchRecord:
        if len(self.plans) == self._interrupt_at:
            raise KeyboardInterrupt
        self.plans.append(plan)
        if len(self.plans) <= self._disturbed:
            return LaunchRecord(causes={row.scenario: ["others took 70% of the 2 cores"] for row in plan.rows})
        done = {row.scenario: [Round(row.output_tokens, row.batch, 0.1, 1.0, 2.0, 2**20)] * 2 for row in plan.rows}
        return LaunchRecord(rounds=done)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "ensure", lambda *args: SimpleNamespace(path=Path("/nowhere"), meta={}))
    monkeypatch.setattr(record, "cpu_device_name", lambda: f"test-{tmp_path.name}")
    return tmp_path / "r.json"


def measure(
    path: Path, monkeypatch: pytest.MonkeyPatch, plain: int = 8, worker: Worker | None = None
) -> tuple[int, Worker]:
    worker = worker or Worker()
    monkeypatch.setattr(record, "run_launch", worker)
    options = ("--model", "tiny", "--rounds", "2", "--launches", str(plain), "--recording", str(path))
    return main(["prove", "--record", *options]), worker


def test_it_records_the_quick_rows_with_outputs_that_can_be_inflated(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, worker = measure(path, monkeypatch)
    assert status == 0
    found = read(path)
    assert found.head.scenarios == ["tiny-dummy.onnx.int8.b1.p5.o100", "tiny-dummy.onnx.int8.b8.p5.o100"]
    assert [launch.inflate for launch in found.launches] == list(islice(order(), 16))
    assert [plan.inflate for plan in worker.plans] == [launch.inflate for launch in found.launches]
    for plan in worker.plans:
        assert [plan.extra_len(row) for row in plan.rows] == [round(100 * plan.inflate)] * 2
    assert {row.metric for row in found.launches[0].rows} >= {"output_throughput", "ttft", "tpot"}
    assert all(len(row.launches) == 1 and len(row.launches[0]) == 2 for row in found.launches[0].rows)


def test_an_interrupted_recording_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _ = measure(path, monkeypatch, worker=Worker(interrupt_at=5))
    assert status == 130
    assert "goes on" in capsys.readouterr().err
    kept = read(path)
    assert len(kept.launches) == 5
    status, worker = measure(path, monkeypatch)
    assert (status, len(worker.plans)) == (0, 11)
    assert [launch.inflate for launch in read(path).launches] == list(islice(order(), 16))
    assert read(path).launches[:5] == kept.launches
    assert measure(path, monkeypatch, plain=12)[1].plans, "more may be added later"
    assert len(read(path).launches) == 24


def test_a_disturbed_launch_is_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, worker = measure(path, monkeypatch, plain=4, worker=Worker(disturbed=2))
    assert status == 0
    assert len({plan.inflate for plan in worker.plans[:3]}) == 1
    assert (len(read(path).launches), read(path).disturbed) == (8, 2)


def test_a_machine_that_is_always_busy_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, worker = measure(path, monkeypatch, worker=Worker(disturbed=99))
    assert (status, len(worker.plans)) == (4, 6)
    assert "others took 70%" in capsys.readouterr().err


def test_an_unknown_group_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "--record", "--model", "tiny", "--group", "onnx.int9", "--recording", str(path)]) == 2
    assert "onnx.int8" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize(("name", "said"), [("", "that is a folder"), ("file/r.json", "Not a directory")])
def test_a_recording_that_cannot_be_written_is_2_before_a_model_is_built(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    monkeypatch.setattr(record, "ensure", lambda *args: pytest.fail("built"))
    (path.parent / "file").write_text("")
    status, worker = measure(path.parent / name, monkeypatch)
    assert (status, worker.plans) == (2, [])
    told = capsys.readouterr().err
    assert f"--recording {path.parent / name}: " in told
    assert said in told


def test_an_empty_recording_is_of_its_head(tmp_path: Path) -> None:
    assert resume(tmp_path / "none.json", head()) == Recording(schema=1, head=head(), launches=[])
