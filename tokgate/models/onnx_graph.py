"""The graph that decodes fast: optimum's export with its attention replaced.

optimum's graph copies the whole KV cache at each step (Concat), spells rotary embedding and attention out in
some 90 small nodes a layer, and computes logits for every prompt position. Here each layer's attention is one
GroupQueryAttention of ONNX Runtime (com.microsoft), which turns queries and keys itself and writes new keys
and values into the buffer it is given, and the last position is taken before the output projection.

https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tokgate.errors import InputError
from tokgate.models.shapes import ModelShape

MODEL_TYPES = ("llama", "mistral", "qwen2")
_DOMAIN = "com.microsoft"
_HEAD = "/lm_head/MatMul"


def check_supported(shape: ModelShape) -> None:
    """Raises InputError if the architecture is not one this rewriting is right for."""
    if shape.model_type not in MODEL_TYPES:
        raise InputError(
            f"model_type {shape.model_type!r} has no known ONNX graph; known: {', '.join(MODEL_TYPES)}. Its "
            "transformers rows can be measured"
        )
    if shape.rope_scaling is not None:
        raise InputError(f"rope_scaling {shape.rope_scaling!r} is not built into the graph; only plain rotary is")


def rewrite_for_decoding(model: onnx.ModelProto, shape: ModelShape, max_context: int) -> None:
    """Rewrites optimum's graph in place, for sequences of up to `max_context` tokens. Raises InputError.

    Inputs then: input_ids [B, S], attention_mask [B, T], past_key_values.N.key/value [B, kv_heads, capacity,
    head_dim]; outputs: logits [B, 1, vocab], present.N.key/value, which may be the same buffers.
    """
    check_supported(shape)
    if shape.sliding_window is not None and shape.sliding_window < max_context:
        raise InputError(
            f"sliding_window {shape.sliding_window} is less than the {max_context} tokens of context asked "
            "for: attention over all of them would be another model"
        )
    graph = model.graph
    nodes = {node.name: node for node in graph.node}
    _add_rotary_tables(graph, shape, max_context)
    added = _lengths_of_sequences(graph)
    for layer in range(shape.num_hidden_layers):
        added.append(_replace_attention(nodes, shape, layer))
    added.append(_take_last_position(graph, nodes))
    _keep_what_is_used(graph, added)
    # The quantiser infers types, and knows no type for the outputs of this operator but what is said here.
    del graph.value_info[:]
    width = shape.num_attention_heads * shape.head_dim
    for layer in range(shape.num_hidden_layers):
        name = _attention_output(layer)
        dims = ["batch_size", "sequence_length", width]
        graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims))
    _say_shapes(graph)
    model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def rotary_tables(shape: ModelShape, positions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines [positions, head_dim / 2] of the rotary angles (Su et al. 2021, arXiv 2104.09864)."""
    # As transformers does: frequencies and angles in FP32, so that large positions round alike.
    exponents = np.arange(0, shape.head_dim, 2, dtype=np.float32) / np.float32(shape.head_dim)
    frequencies = (1.0 / np.power(np.float32(shape.rope_theta), exponents)).astype(np.float32)
    angles = np.arange(positions, dtype=np.float32)[:, None] * frequencies[None]
    return np.cos(angles), np.sin(angles)


def _add_rotary_tables(graph: onnx.GraphProto, shape: ModelShape, positions: int) -> None:
    for name, table in zip(("rotary.cos", "rotary.sin"), rotary_tables(shape, positions), strict=True):
        graph.initializer.append(numpy_helper.from_array(table, name))


def _lengths_of_sequences(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes that turn the attention mask into what GroupQueryAttention asks for, once for all layers.

    seqlens_k [B] int32: tokens of each sequence, less one; total_len int32: the longest sequence's tokens.
    """
    constants = {
        "lengths.axis": np.array([1], np.int64),
        "lengths.one": np.array(1, np.int32),
        "lengths.second": np.array(1, np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return [
        helper.make_node("Cast", ["attention_mask"], ["lengths.mask"], name="lengths/mask", to=TensorProto.INT32),
        helper.make_node(
            "ReduceSum", ["lengths.mask", "lengths.axis"], ["lengths.sum"], name="lengths/sum", keepdims=0
        ),
        helper.make_node("Sub", ["lengths.sum", "lengths.one"], ["seqlens_k"], name="lengths/seqlens_k"),
        helper.make_node("Shape", ["attention_mask"], ["lengths.shape"], name="lengths/shape"),
        helper.make_node(
            "Gather", ["lengths.shape", "lengths.second"], ["lengths.total"], name="lengths/total", axis=0
        ),
        helper.make_node("Cast", ["lengths.total"], ["total_len"], name="lengths/total_len", to=TensorProto.INT32),
    ]


def _replace_attention(nodes: dict[str, onnx.NodeProto], shape: ModelShape, layer: int) -> onnx.NodeProto:
    """The node for a layer's attention; its output projection is made to read from it."""
    prefix = _attention(layer)
    for norm in ("q_norm", "k_norm"):
        if any(name.startswith(f"{prefix}{norm}/") for name in nodes):
            raise InputError(f"layer {layer} normalises queries or keys ({norm}), which this rewriting would drop")
    projections = [_projection(nodes, f"{prefix}{name}_proj") for name in "qkv"]
    output = _node(nodes, f"{prefix}o_proj/MatMul")
    output.input[0] = _attention_output(layer)
    return helper.make_node(
        "GroupQueryAttention",
        [
            *projections,
            f"past_key_values.{layer}.key",
            f"past_key_values.{layer}.value",
            "seqlens_k",
            "total_len",
            "rotary.cos",
            "rotary.sin",
        ],
        [_attention_output(layer), f"present.{layer}.key", f"present.{layer}.value"],
        name=f"{prefix}GroupQueryAttention",
        domain=_DOMAIN,
        num_heads=shape.num_attention_heads,
        kv_num_heads=shape.num_key_value_heads,
        do_rotary=1,
        rotary_interleaved=0,
    )


def _take_last_position(graph: onnx.GraphProto, nodes: dict[str, onnx.NodeProto]) -> onnx.NodeProto:
    """The node that takes the last position's hidden state [B, 1, hidden], all that logits are wanted of."""
    head = _node(nodes, _HEAD)
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "last_position"))
    hidden = head.input[0]
    head.input[0] = "last_hidden"
    return helper.make_node("Gather", [hidden, "last_position"], ["last_hidden"], name="last_hidden", axis=1)


def _keep_what_is_used(graph: onnx.GraphProto, added: list[onnx.NodeProto]) -> None:
    """Puts the added nodes in, and drops all that no output depends on; nodes come before those they feed."""
    replaced = {output for node in added for output in node.output}
    candidates = [node for node in graph.node if not replaced.intersection(node.output)] + added
    producers = {output: node for node in candidates for output in node.output}
    ordered = _in_order([output.name for output in graph.output], producers)
    used = {name for node in ordered for name in node.input}
    initializers = [tensor for tensor in graph.initializer if tensor.name in used]
    inputs = [value for value in graph.input if value.name in used]
    for field, kept in ((graph.node, ordered), (graph.initializer, initializers), (graph.input, inputs)):
        copies = list(kept)
        del field[:]
        field.extend(copies)


def _in_order(outputs: list[str], producers: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes that `outputs` depend on, each after those it depends on: depth first, first inputs first.

    So a tied embedding is looked up before it is transposed for the output projection. The quantiser needs
    that: it then transposes the INT8 weights it has, where it would else quantise them anew in each run.
    """
    ordered: list[onnx.NodeProto] = []
    placed: set[str] = set()
    for output in outputs:
        stack = [output]
        while stack:
            node = producers.get(stack[-1])
            if node is None or node.output[0] in placed:
                stack.pop()
                continue
            waiting = [name for name in node.input if name in producers and producers[name].output[0] not in placed]
            if waiting:
                stack.extend(reversed(waiting))
            else:
                placed.add(node.output[0])
                ordered.append(node)
                stack.pop()
    return ordered


def _say_shapes(graph: onnx.GraphProto) -> None:
    """The shapes that changed: one position of logits, and buffers of one capacity before and after."""
    for value in graph.output:
        if value.name == "logits":
            value.type.tensor_type.shape.dim[1].Clear()
            value.type.tensor_type.shape.dim[1].dim_value = 1
    for value in [*graph.input, *graph.output]:
        if value.name.startswith(("past_key_values.", "present.")):
            value.type.tensor_type.shape.dim[2].Clear()
            value.type.tensor_type.shape.dim[2].dim_param = "capacity"


def _attention(layer: int) -> str:
    return f"/model/layers.{layer}/self_attn/"


def _attention_output(layer: int) -> str:
    return f"{_attention(layer)}GroupQueryAttention_output_0"


def _projection(nodes: dict[str, onnx.NodeProto], name: str) -> str:
    """The tensor a projection ends in, its bias added if it has one."""
    product = _node(nodes, f"{name}/MatMul")
    return str((nodes.get(f"{name}/Add") or product).output[0])


def _node(nodes: dict[str, onnx.NodeProto], name: str) -> onnx.NodeProto:
    if name not in nodes:
        raise InputError(
            f"the exported graph has no node {name}: it is not of the form that optimum 2.1 gives "
            "Llama-style models, so its attention cannot be replaced"
        )
    return nodes[name]
