"""Where `tokgate bench serve` is to save its result is known before it loads a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_bench_serve import Bench

pytestmark = pytest.mark.unit


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
        (["--save-result", "--result-filename", "prompts.jsonl/a"], "--result-filename prompts.jsonl/a: it cannot be"),
    ],
)
def test_a_result_that_could_not_be_saved_is_status_2_before_anything_is_sent(
    bench: Bench, flags: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(bench.folder)
    assert bench("http://127.0.0.1:1", *flags) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in bench.folder.iterdir()] == ["prompts.jsonl"]


def test_where_a_result_that_nobody_wants_could_go_is_no_matter(bench: Bench) -> None:
    assert bench("http://127.0.0.1:1", "--result-dir", str(bench.prompts)) == 4, "nobody is there"
