"""The shape of a decoder-only transformer, and what follows from it: parameters, bytes, longest context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tokgate.errors import InputError

# Positions that are built for: the graph's table of rotary angles ends here, and no row is longer.
CONTEXT_CAP = 4096

WEIGHT_BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.0, "int4": 0.5, "bnb4": 0.5}

# ONNX Runtime's graphs, GenAI's too, keep keys and values in FP32 at every precision.
_CACHE_FP32 = ("onnx", "genai")
# Values of vLLM's kv_cache_dtype that are wider than 8 bits; "auto" is what is computed in. All others are counted as 8
# bits, though some of vLLM 0.32 have 4 and fewer (nvfp4, turboquant_4bit_nc).
_CACHE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

# Query, key and value projections carry a bias, whatever the config says.
_BIASED_QKV = ("qwen2",)
_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
)


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a Llama-style decoder, named as in the hub's config.json.

    `sliding_window` is None where attention sees everything; `rope_scaling` names a changed rotary embedding.
    """

    model_type: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    tie_word_embeddings: bool
    attention_bias: bool = False
    sliding_window: int | None = None
    rope_scaling: str | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any], source: str) -> ModelShape:
        """The shape a HF config.json describes; `source` names it in errors. Raises InputError."""
        values = dict(config)
        values.setdefault("num_key_value_heads", values.get("num_attention_heads"))
        if not values.get("head_dim") and values.get("num_attention_heads"):
            values["head_dim"] = values.get("hidden_size", 0) // values["num_attention_heads"]
        wrong = [name for name in _SIZES if type(values.get(name)) is not int or values[name] < 1]
        if not isinstance(values.get("model_type"), str) or wrong:
            named = ", ".join(f"{name} = {values.get(name)!r}" for name in ["model_type", *wrong])
            raise InputError(f"{source}: not the config of a decoder-only language model: {named}")
        # transformers 5 writes rope_parameters, transformers 4 rope_theta and rope_scaling.
        rope = {**(values.get("rope_scaling") or {}), **(values.get("rope_parameters") or {})}
        scaling = rope.get("rope_type", rope.get("type", "default" if "rope_theta" in rope or not rope else "?"))
        uses_window = values.get("use_sliding_window", values["model_type"] != "qwen2")
        return cls(
            model_type=values["model_type"],
            **{name: values[name] for name in _SIZES},
            rope_theta=float(values.get("rope_theta", rope.get("rope_theta", 10000.0))),
            rms_norm_eps=float(values.get("rms_norm_eps", 1e-6)),
            tie_word_embeddings=bool(values.get("tie_word_embeddings", False)),
            attention_bias=bool(values.get("attention_bias", values["model_type"] in _BIASED_QKV)),
            sliding_window=(values.get("sliding_window") or None) if uses_window else None,
            rope_scaling=None if scaling == "default" else str(scaling),
        )

    def config(self) -> dict[str, Any]:
        """The fields of a HF config.json, as transformers 4 reads them."""
        fields = asdict(self)
        if self.model_type in _BIASED_QKV:
            del fields["attention_bias"]
            fields["use_sliding_window"] = self.sliding_window is not None
        return fields

    @property
    def parameters(self) -> int:
        """Weights, tied embeddings counted once."""
        head = 0 if self.tie_word_embeddings else self._embedding
        return self._embedding + head + self.num_hidden_layers * self._layer + self.hidden_size

    @property
    def parameters_read_per_token(self) -> int:
        """Weights that a decode step reads: all of them, but of an untied embedding only one row."""
        return self.parameters - (0 if self.tie_word_embeddings else self._embedding)

    @property
    def max_context(self) -> int:
        """Prompt and output tokens a sequence may have in every engine built here."""
        return min(self.max_position_embeddings, self.sliding_window or CONTEXT_CAP, CONTEXT_CAP)

    def weight_bytes(self, precision: str) -> int:
        """Bytes of the weights at a precision of scenario ids (what INT8 keeps wider is not counted)."""
        return int(self.parameters * WEIGHT_BYTES[precision])

    def quantised_bytes(self, precision: str) -> int:
        """Bytes of the weights where those below 16 bits are of the layers alone, as on GPUs."""
        return self.layers_bytes(precision) + int(self._outside_layers * max(WEIGHT_BYTES[precision], 2.0))

    def layers_bytes(self, precision: str) -> int:
        """Of those, what is not the embedding or the output layer."""
        return int((self.parameters - self._outside_layers) * WEIGHT_BYTES[precision])

    @property
    def layer_matrices(self) -> tuple[int, ...]:
        """Values of a layer's matrices as vLLM keeps them: queries, keys and values are one, gate and up are one."""
        queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        across = self.hidden_size * self.intermediate_size
        return self.hidden_size * (queries + 2 * keys), queries * self.hidden_size, 2 * across, across

    def kv_bytes(self, batch: int, tokens: int, bytes_per_value: int) -> int:
        """Bytes of the keys and values of `batch` sequences of `tokens` tokens each."""
        values = 2 * self.num_hidden_layers * self.num_key_value_heads * self.head_dim
        return batch * tokens * values * bytes_per_value

    @property
    def _embedding(self) -> int:
        return self.vocab_size * self.hidden_size

    @property
    def _outside_layers(self) -> int:
        return (1 if self.tie_word_embeddings else 2) * self._embedding

    @property
    def _layer(self) -> int:
        biases = 0
        if self.attention_bias:
            queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
            biases = queries + 2 * keys + (0 if self.model_type in _BIASED_QKV else self.hidden_size)
        return sum(self.layer_matrices) + biases + 2 * self.hidden_size


def cache_value_bytes(engine: str, precision: str, kv_cache_dtype: Any = None) -> int:
    """Bytes of one value in the KV cache of an engine, as a Group's `loader` has it.

    `kv_cache_dtype`: as vLLM is told it, or says it of itself; None where nobody does. Others have no such choice.
    """
    if engine in _CACHE_FP32:
        return 4
    computed = 4 if precision == "fp32" else 2
    if engine != "vllm" or kv_cache_dtype in (None, "auto"):
        return computed
    return _CACHE_BYTES.get(str(kv_cache_dtype), 1)
