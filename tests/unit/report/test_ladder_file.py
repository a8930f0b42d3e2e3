"""The ladders of scenarios/ladders/: each step is a row of a matrix that the selection `ladder` measures."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tokgate.errors import InputError
from tokgate.matrices import SCENARIOS_DIR
from tokgate.matrix_file import load_matrix
from tokgate.report.ladder_file import LADDERS_DIR, Ladder, load_ladder
from tokgate.scenario import Scenario

pytestmark = pytest.mark.unit

MARKERS = {"cpu.toml": "cpu", "genai-cpu.toml": "genai_cpu", "vllm-cpu.toml": "vllm_cpu", "serving-gpu.toml": "serving"}
GOOD = """
title = "Up"
[[step]]
name = "a"
row = "onnx.fp32.b1.p5.o50"
what = "w"
measure = "m"
[[step]]
name = "b"
row = "onnx.int8.b1.p5.o50"
what = "w"
measure = "m"
"""


def selected(device: str) -> dict[str, tuple[str, Scenario]]:
    """Row without its model -> marker and scenario, of every row that a ladder selects."""
    found = {}
    for file, marker in MARKERS.items():
        matrix = load_matrix(SCENARIOS_DIR / file)
        if matrix.device == device:
            for row in matrix.scenarios:
                if "ladder" in row.selections:
                    found[row.id.removeprefix(f"{row.group.model}.")] = (marker, row)
    return found


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_selection_measures_exactly_the_steps_and_each_steps_command_is_its_matrixs(kind: str) -> None:
    steps = {step.row: step for step in load_ladder(kind).step}
    rows = selected(kind)
    assert set(rows) == set(steps)
    for name, (marker, _) in rows.items():
        made, _, measured = steps[name].measure.rpartition(" && ")
        # An environment of its own is made first.
        assert made == {"genai_cpu": "make genai", "vllm_cpu": "make vllm-cpu"}.get(marker, "")
        words = measured.split()
        assert words[:3] == ["pytest", "-m", marker]
        assert "--perf-select=ladder" in words


def test_the_cpus_commands_measure_in_the_quick_profile() -> None:
    """Theirs name no profile, and a row that is not quick would be left out."""
    for file in ("cpu.toml", "genai-cpu.toml", "vllm-cpu.toml"):
        matrix = load_matrix(SCENARIOS_DIR / file)
        assert matrix.rows("quick", "ladder") == [row for row in matrix.scenarios if "ladder" in row.selections]


def test_each_step_of_the_cpu_changes_one_thing() -> None:
    """Engine and precision, or batch, or max_tokens; prompts stay as long as they are."""
    rows = selected("cpu")
    found = [rows[step.row][1] for step in load_ladder("cpu").step]
    for before, after in itertools.pairwise(found):
        changed = [
            (before.group.engine, before.group.precision) != (after.group.engine, after.group.precision),
            before.batch != after.batch,
            before.output_len != after.output_len,
        ]
        assert sum(changed) == 1, (before.id, after.id)
        assert before.prompt_len == after.prompt_len


def test_each_step_of_the_gpu_keeps_what_the_one_before_set() -> None:
    rows = selected("gpu")
    found = [rows[step.row][1] for step in load_ladder("gpu").step]
    for before, after in itertools.pairwise(found):
        settings = after.group.settings
        assert {name: settings.get(name) for name in before.group.settings} == before.group.settings
        assert (before.batch, before.prompt_len, before.output_len) == (after.batch, after.prompt_len, after.output_len)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "a"', 'nam = "a"', "nam"),
        ("title", "title =", "not TOML"),
        ("onnx.int8", "onnx.fp32", "each another row"),
        (GOOD[GOOD.rindex("[[step]]") :], "", "expected two steps or more"),
    ],
)
def test_a_slip_in_a_ladder_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    (tmp_path / "cpu.toml").write_text(GOOD)
    assert isinstance(load_ladder("cpu", tmp_path), Ladder)
    (tmp_path / "cpu.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=r"cpu\.toml") as error:
        load_ladder("cpu", tmp_path)
    assert said in str(error.value)


def test_a_ladder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"npu\.toml: cannot be read"):
        load_ladder("npu", LADDERS_DIR)
