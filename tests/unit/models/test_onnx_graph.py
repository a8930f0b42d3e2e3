from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.models.catalog import load_model
from tokgate.models.shapes import ModelShape

pytestmark = pytest.mark.unit

# Imported when a test runs, not when it is collected: collecting stays quick and imports no engine.
onnx = partial(import_module, "onnx")
onnx_graph = partial(import_module, "tokgate.models.onnx_graph")

TINY = load_model("tiny").shape


def empty_model(*names: str) -> Any:
    nodes = [onnx().helper.make_node("Identity", ["input_ids"], [name], name=name) for name in names]
    value = onnx().helper.make_tensor_value_info("input_ids", onnx().TensorProto.INT64, [1])
    return onnx().helper.make_model(onnx().helper.make_graph(nodes, "graph", [value], [value]))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (
            replace(TINY, model_type="gpt2"),
            "model_type 'gpt2' has no known ONNX graph; known: llama, mistral, qwen2",
        ),
        (replace(TINY, rope_scaling="yarn"), "rope_scaling 'yarn'"),
        (replace(TINY, sliding_window=64), "sliding_window 64 is less than the 100 tokens"),
    ],
)
def test_an_architecture_the_rewriting_would_get_wrong_is_refused(shape: ModelShape, said: str) -> None:
    with pytest.raises(InputError, match=said):
        onnx_graph().rewrite_for_decoding(empty_model(), shape, 100)


def test_a_graph_of_another_form_is_refused_with_what_is_missing() -> None:
    with pytest.raises(InputError, match=r"no node /model/layers\.0/self_attn/q_proj/MatMul"):
        onnx_graph().rewrite_for_decoding(empty_model(), TINY, 100)


@pytest.mark.parametrize("norm", ["q_norm", "k_norm"])
def test_normalised_queries_or_keys_are_refused(norm: str) -> None:
    with pytest.raises(InputError, match=norm):
        onnx_graph().rewrite_for_decoding(empty_model(f"/model/layers.0/self_attn/{norm}/Pow"), TINY, 100)


@settings(deadline=None)  # the first example imports onnx
@given(st.integers(0, 4095), st.integers(0, 7))
def test_rotary_tables_turn_by_position_times_frequency(position: int, pair: int) -> None:
    cosines, sines = onnx_graph().rotary_tables(TINY, 4096)
    angle = position * TINY.rope_theta ** (-2 * pair / TINY.head_dim)
    assert cosines.shape == sines.shape == (4096, TINY.head_dim // 2)
    # A float32 angle of up to 4095 is itself only good to 2.4e-4.
    assert cosines[position, pair] == pytest.approx(np.cos(angle), abs=5e-4)
    assert sines[position, pair] == pytest.approx(np.sin(angle), abs=5e-4)


@settings(deadline=None)  # the first example imports onnx
@given(st.data())
def test_nodes_come_after_those_they_depend_on_and_none_is_idle(data: st.DataObject) -> None:
    producers = {}
    for number in range(data.draw(st.integers(1, 25))):
        before = [f"t{i}" for i in range(number)]
        inputs = data.draw(st.lists(st.sampled_from([*before, "input"]), max_size=3))
        producers[f"t{number}"] = onnx().helper.make_node("Op", inputs, [f"t{number}"])
    outputs = data.draw(st.lists(st.sampled_from(sorted(producers)), min_size=1, max_size=3))
    ordered = onnx_graph()._in_order(outputs, producers)
    names = [node.output[0] for node in ordered]
    assert len(names) == len(set(names))
    assert set(outputs) <= set(names)
    for place, node in enumerate(ordered):
        assert {name for name in node.input if name != "input"} <= set(names[:place])
    used = {name for node in ordered for name in node.input} | set(outputs)
    assert set(names) <= used


def test_the_graph_has_one_attention_a_layer_and_one_position_of_logits(tiny: Any) -> None:
    model = onnx().load(str(tiny.fp32.path / "model.onnx"), load_external_data=False)
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("GroupQueryAttention") == tiny.source.shape.num_hidden_layers
    assert not {"Softmax", "Concat", "Cos", "Sin"} & set(operators), "nothing of the old attention is left"
    assert [value.name for value in model.graph.input][:2] == ["input_ids", "attention_mask"]
    logits = next(value for value in model.graph.output if value.name == "logits")
    assert [d.dim_value or d.dim_param for d in logits.type.tensor_type.shape.dim] == ["batch_size", 1, 2000]


def test_in_int8_no_large_weight_is_left_in_fp32_and_the_tied_embedding_is_kept_once(tiny: Any) -> None:
    model = onnx().load(str(tiny.int8.path / "model.onnx"), load_external_data=False)
    shape = tiny.source.shape
    large = {
        tensor.name: tensor.data_type
        for tensor in model.graph.initializer
        if np.prod(tensor.dims) >= shape.hidden_size**2 and not tensor.name.startswith("rotary.")
    }
    assert set(large.values()) <= {onnx().TensorProto.INT8, onnx().TensorProto.UINT8}
    embeddings = [t for t in model.graph.initializer if sorted(t.dims) == [shape.hidden_size, shape.vocab_size]]
    assert len(embeddings) == 1
