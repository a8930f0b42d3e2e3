from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tokgate import accuracy, engines
from tokgate.errors import MeasurementError
from tokgate.models import reference

pytestmark = pytest.mark.unit


def silent(_: dict[str, Any]) -> None:
    pass


def test_the_reference_is_greedy(tiny: Any) -> None:
    found = accuracy.Reference.load(tiny.checkpoint.path)
    assert found.prompts.shape == (4, 16)
    assert found.logits.shape == (4, 12, tiny.source.vocab_size)
    assert (found.logits.argmax(-1) == found.continuation).all()


def test_a_graph_that_computes_something_else_fails_the_build(tmp_path: Path, tiny: Any) -> None:
    folder = tmp_path / "graph"
    shutil.copytree(tiny.fp32.path, folder)
    found = accuracy.Reference.load(folder)
    logits = found.logits.copy()
    logits[1, 3, 7] += 0.02
    (folder / accuracy.FILE_NAME).unlink()
    replace(found, logits=logits).save(folder)
    with pytest.raises(MeasurementError, match=r"differ from transformers' by up to 0\.02; expected at most 0\.01"):
        reference.check(silent, str(folder), exact=True)
    assert reference.check(silent, str(folder), exact=False)["max_logit_diff"] == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_engine_prefills_and_decodes_the_graph(tiny: Any, batch: int, precision: str) -> None:
    artifact = getattr(tiny, precision)
    found = accuracy.Reference.load(artifact.path)
    engine = engines.load("onnx", str(artifact.path), 2, {})
    generation = engine.generate(found.prompts[:batch], found.continuation.shape[1])
    assert generation.tokens.shape == (batch, 12)
    if precision == "fp32":
        assert (generation.tokens == found.continuation[:batch]).all(), "transformers decodes the same"


def test_the_graph_is_exact_up_to_its_last_position(tiny: Any) -> None:
    """The longest sequence: compared with transformers there, and refused one token later."""
    found = accuracy.Reference.load(tiny.fp32.path)
    prompt = found.prompts[:1].repeat(128, axis=1)[:, : tiny.fp32.meta["max_context"] - 4]
    graph = engines.load("onnx", str(tiny.fp32.path), 2, {})
    plain = engines.load("transformers", str(tiny.checkpoint.path), 2, {"dtype": "fp32"})
    tokens = graph.generate(prompt, 4).tokens
    distance = accuracy.compare(plain.forced_logits(prompt, tokens), graph.forced_logits(prompt, tokens))
    assert distance.max_logit_diff < reference.MAX_LOGIT_DIFF
    with pytest.raises(RuntimeError, match="cos_cache"):
        graph.generate(prompt, 6)
