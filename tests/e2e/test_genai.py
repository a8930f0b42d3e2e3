"""ONNX Runtime GenAI for real: build, launch, measure, accept, judge. `make genai` makes its environment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from flow import GENAI_PYTHON, ROOT, Measured, accepted_nights, measure, needs_genai, tokgate, worse

from tokgate import session as sessions
from tokgate.child import python_path
from tokgate.matrix_file import load_matrix

pytestmark = [pytest.mark.e2e, needs_genai]

# Run by the interpreter that has GenAI: PROBE MODEL_DIR. What it prints is looked at here.
PROBE = """
import json, sys
import numpy as np
from tokgate import engines
from tokgate.engines.decoding import Decoding
engine = engines.load("genai", sys.argv[1], 1, {"allow_spinning": False})
prompts = np.arange(12).reshape(2, 6) * 7 % 2000
greedy = engine.generate(prompts, 20)
same = engine.generate(prompts, 20, Decoding())
stop = int(greedy.tokens[0, 4])
drawn = [engine.generate(prompts, 20, Decoding(temperature=1.0, seed=seed)).tokens.tolist() for seed in (1, 1, 2)]
alone = [engine.generate(prompts[row : row + 1], 20).tokens[0].tolist() for row in (0, 1)]
end = json.load(open(sys.argv[1] + "/genai_config.json"))["model"]["eos_token_id"]
try:
    engine.forced_logits(prompts, np.full((2, 3), end))
    refused = ""
except ValueError as error:
    refused = str(error)
print(json.dumps({
    "greedy": greedy.tokens.tolist(), "same": same.tokens.tolist(), "alone": alone, "drawn": drawn, "stop": stop,
    "times": [greedy.prefill_s, greedy.total_s], "end": end, "refused": refused, "told": engine.describe(),
    "stopped": engine.generate(prompts, 20, Decoding(stop_ids=(stop,))).tokens.tolist(),
}))
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """`pytest -m genai_cpu` itself: every row of its matrix, by GenAI in an environment of its own."""
    return measure("genai_cpu", tmp_path_factory.mktemp("run"), f"--perf-python={GENAI_PYTHON}", quiet=False)


@pytest.fixture(scope="module")
def probed(measured: Measured) -> dict[str, object]:
    """What the engine itself does, beside what is measured."""
    (model_dir,) = (measured.folder.parent / "cache").glob("*.genai-fp32.*/")
    done = subprocess.run(
        [str(GENAI_PYTHON), "-c", PROBE, str(model_dir)],
        cwd=ROOT, env={"PYTHONPATH": python_path()}, text=True, capture_output=True, check=True,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_every_row_did_the_work_that_was_planned(measured: Measured) -> None:
    """To the token, in every round, disturbed or not; and each planned round was tried."""
    matrix = load_matrix(ROOT / "scenarios" / "genai-cpu.toml").with_models(lambda shape: "tiny-dummy")
    for scenario in matrix.rows("smoke"):
        (launch,) = measured.session.telemetry["groups"][scenario.group.id]["launches"]
        rounds = [event for event in launch["rounds"] if event["scenario"] == scenario.id]
        assert {event["round"] for event in rounds} == set(range(matrix.profile("smoke").rounds))
        for event in rounds:
            assert event["prompt_tokens"] == scenario.batch * scenario.prompt_len
            assert event["output_tokens"] == scenario.batch * scenario.output_len
            assert 0 < event["prefill_s"] < event["total_s"]


def test_the_outputs_are_the_models(measured: Measured) -> None:
    """Each precision was compared with plain transformers in FP32, on the weights that it was made from."""
    by_group = {accuracy.group: accuracy for accuracy in measured.session.accuracy}
    assert set(by_group) == {f"tiny-dummy.genai.{precision}" for precision in ("fp32", "int8", "int4")}
    assert all(accuracy.positions == 48 for accuracy in by_group.values())
    distances = [by_group[f"tiny-dummy.genai.{precision}"].logit_distance for precision in ("fp32", "int8", "int4")]
    assert distances[0] < 1e-4 < distances[1] < distances[2] < 0.5


def test_the_session_says_what_built_and_measured_it(measured: Measured) -> None:
    software = measured.session.software
    assert {"onnxruntime-genai", "onnx-ir", "onnxruntime"} <= set(software)
    for group in measured.session.telemetry["groups"].values():
        assert group["engine"]["onnxruntime-genai"] == software["onnxruntime-genai"]
        assert group["engine"]["device"] == "CPU"
        assert group["build"]["versions"]["onnxruntime-genai"] == software["onnxruntime-genai"]


def test_greedy_decoding_is_the_same_alone_in_a_batch_and_through_our_own_choice(probed: dict[str, object]) -> None:
    assert probed["greedy"] == probed["same"] == probed["alone"]
    prefill_s, total_s = probed["times"]
    assert 0 < prefill_s < total_s
    assert probed["told"]["spinning"] == "off"


def test_sampling_follows_its_seed_and_stop_ids_end_a_sequence(probed: dict[str, object]) -> None:
    first, again, other = probed["drawn"]
    assert first == again != other
    row = probed["stopped"][0]
    place = row.index(probed["stop"])
    assert place <= 4
    assert row[:place] == probed["greedy"][0][:place]
    assert set(row[place + 1 :]) == {-1}


def test_the_token_that_ends_a_sequence_is_never_made_and_never_fed(probed: dict[str, object]) -> None:
    assert all(probed["end"] not in row for row in probed["greedy"])
    assert f"holds token {probed['end']}" in str(probed["refused"])


def test_a_same_night_passes_and_a_slower_one_fails(measured: Measured, tmp_path: Path) -> None:
    if not measured.session.valid:
        assert all("planned rounds are usable" in reason for reason in measured.session.reasons), "not only disturbed"
        pytest.skip(f"the cores were shared: {measured.session.reasons[0]}")
    store, sixth = accepted_nights(measured.session, tmp_path)
    path = sessions.write(sixth, tmp_path / "sessions")
    assert tokgate("judge", path, "--baselines", store, "--require-baseline") == 0
    slower = sessions.write(worse(sixth, 0.20), tmp_path / "sessions")
    assert tokgate("judge", slower, "--baselines", store) == 1


def test_without_genai_a_build_says_what_to_install(tmp_path: Path) -> None:
    """In the environment that runs this, which has no need of it."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "genai_cpu", "-k", "int8", "--perf-model=tiny", "--perf-profile=smoke",
         f"--perf-cache={tmp_path / 'cache'}", f"--perf-sessions={tmp_path / 'sessions'}"],
        cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1
    assert "make genai" in done.stdout
