"""What is recorded of a server that was started here: its pages, and its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.loads import raw_server, target
from tokgate import __version__
from tokgate.gate.chosen import choice_changes, choices_of
from tokgate.serving.served_model import ServedModel
from tokgate.serving.vllm_cli import TOLD
from tokgate.stub.process import running

pytestmark = pytest.mark.unit

CHOSEN = {"environment": "none", "async_scheduling": "True", "max_num_seqs": "1024", "kv_cache_tokens": "unknown"}
# Of vLLM 0.26 on a GPU, cut; the first line as an API server prints it.
LOG = """\
(APIServer pid=3000) {told}
(EngineCore pid=3001) INFO 11-22 14:41:00 [core.py:116] Initializing a V1 LLM engine (v0.26.0) with config: model='/m', \
dtype=torch.float16, max_seq_len=4096, quantization=compressed-tensors, enforce_eager=False, \
enable_chunked_prefill=True, compilation_config={{'cudagraph_mode': <CUDAGraphMode.FULL_AND_PIECEWISE: (2, 1)>}}
(EngineCore pid=3001) INFO 11-22 14:41:01 [__init__.py:670] Selected CutlassInt8ScaledMMLinearKernel for CompressedTensorsW8A8Int8
(EngineCore pid=3001) INFO 11-22 14:41:02 [cuda.py:482] Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN'].
(EngineCore pid=3001) INFO 11-22 14:41:02 [flash_attn.py:776] Using FlashAttention version 3
(EngineCore pid=3001) INFO 11-22 14:41:10 [kv_cache_utils.py:2177] GPU KV cache size: 11,114,720 tokens
"""  # noqa: E501
LOGGED = {
    "dtype": "float16",
    "max_model_len": "4096",
    "quantization": "compressed-tensors",
    "enforce_eager": "False",
    "chunked_prefill": "True",
    "cudagraph_mode": "FULL_AND_PIECEWISE",
    "linear_kernel": "CutlassInt8ScaledMMLinearKernel",
    "attention_backend": "FLASH_ATTN",
    "flash_attention_version": "3",
    "kv_cache_tokens": "11114720",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running() as stub:
        yield stub.url


def described(url: str, folder: Path, told: str) -> dict[str, str]:
    log = folder / "server.log"
    log.write_text(LOG.format(told=told))
    return ServedModel(target(url), "m", log, {"client_cpus": "1"}).describe()


def test_what_it_says_it_chose_and_what_its_engine_came_to_are_recorded(url: str, tmp_path: Path) -> None:
    """The engine's own word is the last: it knows its cache when the configuration does not yet."""
    found = described(url, tmp_path, TOLD + json.dumps(CHOSEN))
    assert found == {"vllm": __version__, **CHOSEN, **LOGGED, "client_cpus": "1"}


@pytest.mark.parametrize("told", ["INFO: nothing of ours", TOLD + '{"environment": "no'])
def test_a_server_that_does_not_say_is_recorded_without(url: str, tmp_path: Path, told: str) -> None:
    assert described(url, tmp_path, told) == {"vllm": __version__, **LOGGED, "client_cpus": "1"}


@pytest.mark.parametrize(
    ("metrics", "facts"),
    [
        (b'vllm:cache_config_info{block_size="16",other="1"} 1.0\n', {"block_size": "16"}),
        (b'vllm:cache_config_info{block_size="16"} many\n', {}),
    ],
    ids=["a page", "a garbled page"],
)
def test_a_server_below_a_prefix_is_asked_there(metrics: bytes, facts: dict[str, str]) -> None:
    """As one behind a gateway, whose root is another's."""
    pages = {b"/prefix/version": b'{"version": "1.2"}', b"/prefix/metrics": metrics}

    def talk(peer) -> None:
        body = pages.get(peer.recv(65536).split()[1])
        status, body = (b"200 OK", body) if body is not None else (b"404 Not Found", b"")
        peer.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

    with raw_server(talk) as base:
        found = ServedModel(target(base, "/prefix/v1/completions"), "m").describe()
    assert found == {"vllm": "1.2", **facts}


def test_where_a_row_is_slower_a_variable_and_another_scheduling_are_named(url: str, tmp_path: Path) -> None:
    before = described(url, tmp_path, TOLD + json.dumps(CHOSEN))
    changed = CHOSEN | {"environment": "VLLM_USE_FLASHINFER_SAMPLER=0", "async_scheduling": "False"}
    now = described(url, tmp_path, TOLD + json.dumps(changed))
    assert choice_changes(choices_of(now, {"vllm"}), [choices_of(before, {"vllm"})]) == [
        "the engine's async_scheduling True -> False",
        "the engine's environment none -> VLLM_USE_FLASHINFER_SAMPLER=0",
    ]
