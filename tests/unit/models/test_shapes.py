from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.errors import InputError
from tokgate.models.catalog import load_model
from tokgate.models.shapes import CONTEXT_CAP, ModelShape

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("qwen2.5-0.5b", 494_032_768), ("qwen2.5-7b", 7_615_616_512), ("mistral-7b", 7_241_732_096)],
)
def test_parameters_are_those_the_hub_counts(name: str, parameters: int) -> None:
    shape = load_model(name).shape
    assert shape.parameters == parameters
    assert shape.weight_bytes("fp32") == 4 * parameters
    assert shape.weight_bytes("int4") == parameters // 2


def test_a_decode_step_reads_all_weights_but_an_untied_embedding() -> None:
    tied, untied = load_model("qwen2.5-0.5b").shape, load_model("mistral-7b").shape
    assert tied.parameters_read_per_token == tied.parameters
    assert untied.parameters_read_per_token == untied.parameters - 32000 * 4096


@given(st.integers(1, 64), st.integers(1, 4096), st.sampled_from([1, 2, 4]))
def test_the_kv_cache_grows_with_each_of_its_factors(batch: int, tokens: int, width: int) -> None:
    shape = load_model("qwen2.5-0.5b").shape
    assert shape.kv_bytes(batch, tokens, width) == batch * tokens * width * shape.kv_bytes(1, 1, 1)
    assert shape.kv_bytes(1, 1, 1) == 2 * 24 * 2 * 64


def test_the_context_ends_where_the_first_of_its_limits_does() -> None:
    shape = load_model("mistral-7b").shape
    assert shape.max_context == 4096 == shape.sliding_window
    assert replace(shape, sliding_window=None).max_context == CONTEXT_CAP
    assert replace(shape, sliding_window=1000).max_context == 1000
    assert replace(shape, max_position_embeddings=512).max_context == 512


@pytest.mark.parametrize("name", ["qwen2.5-0.5b", "qwen2.5-7b", "mistral-7b", "tiny"])
def test_a_shape_survives_being_written_as_a_config(name: str) -> None:
    shape = load_model(name).shape
    assert ModelShape.from_config(shape.config(), name) == shape


HUB_CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 21,
    "model_type": "qwen2",
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}


def test_the_config_on_the_hub_gives_the_shape_in_scenarios() -> None:
    assert ModelShape.from_config(HUB_CONFIG, "hub") == load_model("qwen2.5-0.5b").shape


def test_rotary_settings_of_transformers_5_are_read_too() -> None:
    config = {name: value for name, value in HUB_CONFIG.items() if name != "rope_theta"}
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": 1000000.0}
    assert ModelShape.from_config(config, "hub") == load_model("qwen2.5-0.5b").shape


def test_a_scaled_rotary_embedding_is_noticed() -> None:
    config = {**HUB_CONFIG, "rope_scaling": {"type": "yarn", "factor": 4.0}}
    assert ModelShape.from_config(config, "hub").rope_scaling == "yarn"


@pytest.mark.parametrize("name", ["model_type", "hidden_size", "vocab_size", "num_attention_heads"])
def test_a_config_of_something_else_names_what_is_missing(name: str) -> None:
    config = {key: value for key, value in HUB_CONFIG.items() if key != name}
    with pytest.raises(InputError, match=f"config.json: .*{name} = None"):
        ModelShape.from_config(config, "config.json")
