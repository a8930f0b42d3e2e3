"""ONNX Runtime GenAI's engine for real: what it decodes. Nothing is measured.

`make genai` makes its environment.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from flow import GENAI_PYTHON, ROOT, needs_genai

from tokgate.child import python_path
from tokgate.machine.cpumodel import isa
from tokgate.models.artifacts import ensure
from tokgate.models.source import resolve

pytestmark = [pytest.mark.e2e, pytest.mark.beside, needs_genai]

PRECISIONS = ("fp32", "int8", "int4")
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
def probed(genai_cache: Path) -> dict[str, object]:
    """What the engine itself does, on the model in FP32."""
    source = resolve("tiny", "tiny", allow_network=False)
    # The others are for test_genai.py, which has the machine to itself: what it need not build saves its time twice.
    built = {name: ensure(source, "genai", name, genai_cache, str(GENAI_PYTHON), isa(), print) for name in PRECISIONS}
    model_dir = built["fp32"].path
    done = subprocess.run(
        [str(GENAI_PYTHON), "-c", PROBE, str(model_dir)],
        cwd=ROOT, env={"PYTHONPATH": python_path()}, text=True, capture_output=True, check=True,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout)
    return found


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
