"""The roofline: sums that can be done by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.models.catalog import load_model
from tokgate.models.shapes import ModelShape
from tokgate.roofline import Peaks, Step, best_peaks, bound, floor_s, host_speed, roof, work_of

pytestmark = pytest.mark.unit

QWEN = load_model("qwen2.5-0.5b").shape
PEAKS = Peaks(read_bytes_s=32e9, flop_s=100e9)


def shape(**changes: object) -> ModelShape:
    """Two layers, one head of 4: small enough to count by hand."""
    values = {
        "model_type": "llama", "vocab_size": 10, "hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 2,
        "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 4, "max_position_embeddings": 64,
        "rope_theta": 1e4, "rms_norm_eps": 1e-6, "tie_word_embeddings": True, **changes,
    }  # fmt: skip
    return ModelShape(**values)


# A layer: 4 projections of 4 x 4, 3 matrices of 4 x 8, 2 norms of 4; and the last norm.
BODY = 2 * (4 * 16 + 3 * 32 + 2 * 4) + 4
HEAD = 10 * 4


def test_a_decode_step_reads_all_weights_and_the_cache_at_its_mean_length():
    decode = work_of(shape(), "transformers", "fp32", 3, 5, 2).decode
    assert decode is not None
    # One decode step, which attends to 5 + 1 tokens: 2 (K and V) x 2 layers x 4 values x 3 sequences.
    assert decode.read_bytes == 4 * (BODY + HEAD) + 4 * (2 * 2 * 4 * 3) * 6
    assert decode.flop == 2 * (BODY + HEAD) * 3 + 3 * 2 * (2 * 2 * 4) * 6


def test_prefill_projects_only_the_last_position_and_attends_causally():
    prefill = work_of(shape(), "onnx", "fp32", 3, 5, 2).prefill
    assert prefill.read_bytes == 4 * (BODY + HEAD)
    assert prefill.flop == 2 * BODY * 15 + 2 * HEAD * 3 + 2 * (2 * 2 * 4) * 3 * (1 + 2 + 3 + 4 + 5)


def test_tied_embeddings_count_once_and_of_untied_ones_the_output_projection():
    tied, untied = (work_of(shape(tie_word_embeddings=tied), "onnx", "fp32", 1, 5, 9) for tied in (True, False))
    assert tied == untied


def test_the_half_billion_model_reads_what_is_known_of_it():
    """494 M parameters in FP32 are 1.98 GB; at 14 GB/s of two cores 7 tok/s, at 33 GB/s 16."""
    decode = work_of(QWEN, "onnx", "fp32", 1, 5, 50).decode
    assert decode is not None
    assert decode.read_bytes == pytest.approx(1.98e9, rel=0.01)


def test_int8_reads_a_quarter_and_what_a_quantiser_leaves_counts_at_its_width():
    fp32, int8 = (work_of(QWEN, "onnx", precision, 1, 5, 50).prefill.read_bytes for precision in ("fp32", "int8"))
    assert int8 == fp32 / 4
    head = QWEN.vocab_size * QWEN.hidden_size
    assert work_of(QWEN, "vllm", "int8", 1, 5, 50).prefill.read_bytes == int8 + head
    assert work_of(QWEN, "vllm", "fp16", 1, 5, 50).prefill.read_bytes == fp32 / 2
    assert work_of(QWEN, "genai", "int4", 1, 5, 50).prefill.read_bytes == fp32 / 8, (
        "GenAI's builder rounds the head too"
    )


def test_the_cache_is_as_wide_as_the_engine_keeps_it():
    def cache(engine: str, precision: str) -> float:
        many, one = (work_of(QWEN, engine, precision, batch, 128, 64) for batch in (8, 1))
        assert many.decode is not None
        assert one.prefill is not None
        return many.decode.read_bytes - one.prefill.read_bytes

    assert cache("onnx", "int8") == cache("onnx", "fp32") == QWEN.kv_bytes(8, 160, 4)
    assert cache("transformers", "bf16") == cache("vllm", "int8") == QWEN.kv_bytes(8, 160, 2)


@pytest.mark.parametrize(
    ("precision", "told", "width"),
    [
        *((precision, told, 2) for precision in ("fp16", "int8", "int4") for told in (None, "auto")),
        ("fp32", "auto", 4),
        ("fp32", "bfloat16", 2),
        *(("int8", told, 2) for told in ("float16", "bfloat16")),
        *((precision, told, 1) for precision in ("fp16", "int8") for told in ("fp8", "fp8_e4m3", "fp8_e5m2")),
    ],
)
def test_vllms_cache_is_as_wide_as_it_is_told(precision: str, told: str | None, width: int) -> None:
    def read(batch: int) -> float:
        decode = work_of(QWEN, "vllm", precision, batch, 128, 64, told).decode
        assert decode is not None
        return decode.read_bytes

    assert read(9) - read(1) == QWEN.kv_bytes(8, 160, width)


def test_other_engines_have_no_such_choice() -> None:
    for engine, precision in (("onnx", "int8"), ("genai", "int4"), ("transformers", "fp16")):
        assert work_of(QWEN, engine, precision, 8, 5, 50, "fp8") == work_of(QWEN, engine, precision, 8, 5, 50)


def test_one_output_token_has_no_decode():
    assert work_of(QWEN, "onnx", "fp32", 1, 128, 1).decode is None


@given(st.integers(1, 64), st.integers(1, 512), st.integers(2, 512))
def test_more_sequences_compute_more_and_read_the_weights_once(batch, prompt_len, output_len):
    one, many = (work_of(QWEN, "onnx", "fp32", n, prompt_len, output_len) for n in (1, batch))
    assert many.prefill.flop == pytest.approx(batch * one.prefill.flop)
    assert many.prefill.read_bytes == one.prefill.read_bytes
    assert one.decode is not None
    assert many.decode is not None
    assert many.decode.flop == pytest.approx(batch * one.decode.flop)
    assert one.decode.read_bytes <= many.decode.read_bytes <= batch * one.decode.read_bytes


def test_the_floor_is_the_longer_of_reading_and_computing():
    reads, computes = Step(32e9, 1e9), Step(1e9, 200e9)
    assert (floor_s(reads, PEAKS), roof(reads, PEAKS)) == (1.0, "memory")
    assert (floor_s(computes, PEAKS), roof(computes, PEAKS)) == (2.0, "compute")


@pytest.mark.parametrize(
    ("step", "seconds", "expected"),
    [
        (Step(32e9, 1e9), 1.2, "memory"),
        (Step(1e9, 200e9), 3.0, "compute"),
        (Step(32e9, 1e9), 3.5, "overhead"),
        (Step(1e9, 200e9), 6.5, "overhead"),
    ],
)
def test_a_step_is_bound_by_its_roof_or_by_neither(step, seconds, expected):
    assert bound(step, seconds, PEAKS) == expected


def test_batch_1_decodes_by_memory_and_a_long_prompt_prefills_by_arithmetic():
    work = work_of(QWEN, "onnx", "fp32", 1, 512, 16)
    assert work.decode is not None
    assert roof(work.decode, PEAKS) == "memory"
    assert roof(work.prefill, PEAKS) == "compute"


def test_figures_name_each_step_and_leave_out_a_decode_that_is_none():
    assert set(work_of(QWEN, "onnx", "fp32", 1, 5, 50).figures()) == {
        "prefill_bytes", "prefill_flop", "decode_bytes", "decode_flop",
    }  # fmt: skip
    assert set(work_of(QWEN, "onnx", "fp32", 1, 5, 1).figures()) == {"prefill_bytes", "prefill_flop"}


def test_of_each_peak_the_best_launch_counts():
    one, other = {"read_bytes_s": 30e9, "flop_s": 90e9}, {"read_bytes_s": 28e9, "flop_s": 99e9}
    assert best_peaks([one, {}, other]) == {"read_bytes_s": 30e9, "flop_s": 99e9}
    assert best_peaks([{}, {}]) == best_peaks([]) == {}


@pytest.mark.parametrize("engine", ["vllm", "serve"])
def test_the_first_tokens_of_several_requests_time_no_prefill(engine):
    """Their TTFT is a median over requests: divided by it, the work of all would pass the machine's limits."""
    assert set(work_of(QWEN, engine, "fp16", 8, 5, 50).figures()) == {"decode_bytes", "decode_flop"}
    assert "prefill_flop" in work_of(QWEN, engine, "fp16", 1, 5, 50).figures()


def test_the_hosts_speed_is_the_mean_of_what_was_probed_beside_the_rounds():
    speed = host_speed([{"loop_s": [0.001, 0.003]}, {}, {"loop_s": [0.0012, 0.0012]}])
    assert speed == {"host_loop_mean_s": pytest.approx(0.0016)}
    assert host_speed([{}, {"round": 1}]) == {}
    discarded = [{"loop_s": [1.0], "disturbed": "others took 30%"}, {"loop_s": [1.0], "fault": "no tokens"}]
    assert host_speed([*discarded, {"loop_s": [0.001], "disturbed": None, "fault": None}]) == {
        "host_loop_mean_s": 0.001
    }
