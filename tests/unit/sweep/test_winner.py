"""The winner: a scenario that any matrix may hold, and a command that starts it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.unit.sweep.examples import written
from tokgate.matrices import SCENARIOS_DIR, open_matrix
from tokgate.sweep.candidates import PROFILE, open_candidates
from tokgate.sweep.file import read_sweep
from tokgate.sweep.winner import write_winner

pytestmark = pytest.mark.unit

SERVER = """
device = "gpu"
model = "qwen2.5-0.5b"
engine = "serve"
row = "c50x512->512"
num_prompts = 200
weights = "skeleton"
variants = ["shared"]
[settings]
environment = { VLLM_LOG = "a b" }
[[grid]]
precision = ["fp16", "int8"]
max_num_seqs = ["default", 256]
speculative_config = [{ method = "ngram", num_speculative_tokens = 4 }]
enforce_eager = [false]
concurrency = [10, 50]
"""


@pytest.mark.parametrize("file", sorted((SCENARIOS_DIR / "sweeps").glob("*.toml")), ids=lambda path: path.name)
def test_any_setting_is_accepted_as_a_scenario(file: Path, tmp_path: Path) -> None:
    """Each setting of each file: the matrix reader finds one row, of the same settings and the same load."""
    sweep = read_sweep(file)
    opened = open_candidates(sweep, "dummy")
    for candidate in opened.candidates:
        winner = write_winner(sweep, opened, candidate, tmp_path / str(candidate.number))
        (row,) = open_matrix(str(winner.matrix), "dummy", {}).rows(PROFILE)
        assert row.id == winner.scenario
        assert dict(row.group.settings) == dict(candidate.scenario.group.settings)
        assert (row.traffic, row.shape_id, row.group.precision, row.group.engine) == (
            candidate.scenario.traffic, candidate.scenario.shape_id, candidate.scenario.group.precision,
            sweep.spec.engine,
        )  # fmt: skip


def test_the_command_is_vllm_serve_with_what_was_measured(tmp_path: Path) -> None:
    sweep = read_sweep(written(tmp_path, SERVER))
    opened = open_candidates(sweep, "dummy")
    (candidate,) = [each for each in opened.candidates if each.label == "fp16 max_num_seqs=256 concurrency=50"]
    winner = write_winner(sweep, opened, candidate, tmp_path / "winner")
    assert shlex.split(winner.command) == [
        "VLLM_LOG=a b", "vllm", "serve", "MODEL", "--dtype=float16", "--max-num-seqs=256",
        '--speculative-config={"method": "ngram", "num_speculative_tokens": 4}', "--no-enforce-eager",
    ]  # fmt: skip
    assert winner.note == "MODEL: qwen2.5-0.5b; measured with dummy weights of its shape"
    assert winner.scenario == "qwen2.5-0.5b-dummy.serve.fp16.tiny-sweep-best.shared.c50.p512.o512"


def test_a_quantised_model_is_said_to_be_one(tmp_path: Path) -> None:
    sweep = read_sweep(written(tmp_path, SERVER))
    opened = open_candidates(sweep, "dummy")
    candidate = next(each for each in opened.candidates if each.choice["precision"] == "int8")
    assert "quantised to INT8" in write_winner(sweep, opened, candidate, tmp_path / "winner").note


def test_a_file_with_a_dot_in_its_name_has_a_winner_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, SERVER).rename(tmp_path / "qwen2.5-seqs.toml")
    monkeypatch.chdir(tmp_path)
    sweep = read_sweep(file)
    opened = open_candidates(sweep, "dummy")
    winner = write_winner(sweep, opened, opened.candidates[0], Path("winner"))
    (row,) = open_matrix(str(winner.matrix), "dummy", {}).rows(PROFILE)
    assert row.id == winner.scenario
    assert ".qwen2-5-seqs-best." in row.id


def test_an_engine_without_a_server_has_a_scenario_and_no_command(tmp_path: Path) -> None:
    sweep = read_sweep(written(tmp_path))
    opened = open_candidates(sweep, "dummy")
    winner = write_winner(sweep, opened, opened.candidates[0], tmp_path / "winner")
    assert winner.command == ""
    assert "threads = 1" in winner.variants.read_text()
