"""Where `tokgate bench serve` is to save its result is known before it loads a server."""

from __future__ import annotations

import errno
import json
import os
import pty
import select
import stat
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_bench_serve import FAST, Bench
from tokgate.report import bench as report
from tokgate.serving import result_file
from tokgate.serving.load import ClientHealth, LoadResult
from tokgate.stub.process import StubProcess, running

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def stub() -> Iterator[StubProcess]:
    with running(*FAST, "--served-model-name", "m") as server:
        yield server


@pytest.fixture(autouse=True)
def client_that_keeps_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else this machine does meanwhile."""
    monkeypatch.setattr(LoadResult, "client_fault", lambda self: None)
    monkeypatch.setattr(ClientHealth, "itl_doubt", lambda self, itl_s: None)


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "result.json")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command sets in its process, which is shared with other tests here."""
    monkeypatch.setenv("USE_TORCH", "AUTO")
    monkeypatch.setenv("TRANSFORMERS_NO_ADVISORY_WARNINGS", "0")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--save-result", "--result-dir", "prompts.jsonl"], "--result-dir prompts.jsonl/openai-infqps-concurrency2-"),
        (["--append-result", "--result-dir", "prompts.jsonl"], "--result-dir prompts.jsonl/openai-infqps-concurrency"),
        (["--save-result", "--result-filename", "."], "--result-filename .: that is a folder; expected the name of a"),
        (["--append-result", "--result-filename", "."], "--result-filename .: that is a folder; expected the name of"),
        (["--append-result", "--result-filename", "dangling"], "--result-filename dangling: it cannot be written: No"),
        (["--save-result", "--result-filename", "prompts.jsonl/a"], "--result-filename prompts.jsonl/a: it cannot be"),
    ],
)
def test_a_result_that_could_not_be_saved_is_status_2_before_anything_is_sent(
    bench: Bench, flags: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.folder / "dangling").symlink_to("gone/result.jsonl")
    monkeypatch.chdir(bench.folder)
    assert bench("http://127.0.0.1:1", *flags) == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in bench.folder.iterdir()) == ["dangling", "prompts.jsonl"]


def test_where_a_result_that_nobody_wants_could_go_is_no_matter(bench: Bench) -> None:
    assert bench("http://127.0.0.1:1", "--result-dir", str(bench.prompts)) == 4, "nobody is there"


def test_a_result_can_be_appended_to_a_device(
    bench: Bench, stub: StubProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """/dev/null, and a terminal, which cannot tell where it is."""
    ours, terminal = pty.openpty()
    try:
        tty.setraw(terminal)
        for device in ("/dev/null", os.ttyname(terminal)):
            assert bench(stub.url, "--append-result", "--result-filename", device) == 0
            assert f"saved: {device}\n" in capsys.readouterr().err
        # Less than a terminal holds unread.
        text = b""
        while select.select([ours], [], [], 1.0)[0] and not text.endswith(b"}}"):
            text += os.read(ours, 65536)
    finally:
        os.close(terminal)
        os.close(ours)
    assert json.loads(text)["completed"] == 6
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_link_to_a_result_stays_one(bench: Bench, stub: StubProcess) -> None:
    (bench.folder / "real").mkdir()
    (link := bench.folder / "link.json").symlink_to("real/result.json")
    where = ("--result-dir", str(bench.folder), "--result-filename", "link.json")
    assert bench(stub.url, "--save-result", *where) == 0
    assert link.is_symlink()
    assert json.loads((bench.folder / "real" / "result.json").read_text())["completed"] == 6
    assert bench(stub.url, "--append-result", *where) == 0
    lines = (bench.folder / "real" / "result.json").read_text().splitlines()
    assert [json.loads(line)["completed"] for line in lines] == [6, 6]
    assert [path.name for path in (bench.folder / "real").iterdir()] == ["result.json"]


@pytest.mark.parametrize("flag", ["--save-result", "--append-result"])
def test_a_result_that_cannot_be_saved_after_all_is_printed_before_that_is_told(
    bench: Bench, stub: StubProcess, flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The load was run."""
    monkeypatch.setattr(result_file, "write", full_disk)
    assert bench(stub.url, flag, "--result-dir", str(bench.folder / "results")) == 2
    said = capsys.readouterr()
    assert f"{'Successful requests:':<40} 6" in said.out
    assert said.err.endswith("No space left on device: 'result.json'; nothing was left half written\n")
    assert "saved: " not in said.err


def test_that_a_result_is_not_saved_is_told_to_who_does_not_read_the_table(
    bench: Bench, stub: StubProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not the status of a closed pipe alone, with the result lost in silence."""

    def gone(*_: Any) -> list[str]:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(report, "table", gone)
    monkeypatch.setattr(result_file, "write_atomically", full_disk)
    assert bench(stub.url, *bench.save) == 2
    assert "No space left on device" in capsys.readouterr().err


def test_details_of_a_result_that_is_not_saved_are_told(
    bench: Bench, stub: StubProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(stub.url, "--save-detailed") == 0
    assert "add --save-result" in capsys.readouterr().err
