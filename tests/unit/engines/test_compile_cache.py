"""What came into the caches: new entries of the caches, and no other file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate.engines.compile_cache import CompileWatch, cache_folders

pytestmark = pytest.mark.unit


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")


def test_a_first_start_fills_all_three(tmp_path: Path) -> None:
    watch = CompileWatch({}, tmp_path)
    write(tmp_path / ".cache/vllm/torch_compile_cache/0f3ac91b22/rank_0_0/backbone/computation_graph.py")
    write(tmp_path / ".cache/vllm/torch_compile_cache/torch_aot_compile/e54a/rank_0_0/model")
    write(tmp_path / ".cache/flashinfer/0.6.1/90a/cached_ops/sampling/sampling.so")
    write(tmp_path / ".cache/flashinfer/0.6.1/90a/cached_ops/sampling/build.ninja")
    write(tmp_path / ".triton/cache/KEY1/kernel.cubin")
    write(tmp_path / ".triton/cache/KEY2/kernel.cubin")
    assert watch.new() == {"vllm": 2, "flashinfer": 1, "triton": 2}


def test_a_start_that_finds_all_of_it_compiled_nothing(tmp_path: Path) -> None:
    write(tmp_path / ".cache/vllm/torch_compile_cache/0f3ac91b22/rank_0_0/vllm_compile_cache.py")
    write(tmp_path / ".triton/cache/KEY1/kernel.cubin")
    watch = CompileWatch({}, tmp_path)
    write(tmp_path / ".cache/vllm/torch_compile_cache/0f3ac91b22/rank_0_0/vllm_compile_cache.py")
    write(tmp_path / ".cache/vllm/modelinfos/some.json")
    write(tmp_path / ".triton/cache/KEY1/kernel.json")
    assert watch.new() == {}


def test_the_folders_are_those_that_the_environment_names(tmp_path: Path) -> None:
    moved = {
        "VLLM_CACHE_ROOT": "/a/vllm",
        "FLASHINFER_WORKSPACE_BASE": "/b",
        "TRITON_CACHE_DIR": "/c",
        "XDG_CACHE_HOME": "/not/where/vllm/is",
    }
    assert cache_folders(moved, tmp_path) == {
        "vllm": Path("/a/vllm"),
        "flashinfer": Path("/b/.cache/flashinfer"),
        "triton": Path("/c"),
    }
    assert cache_folders({"XDG_CACHE_HOME": "/x", "TRITON_HOME": "/t"}, tmp_path) == {
        "vllm": Path("/x/vllm"),
        "flashinfer": tmp_path / ".cache/flashinfer",
        "triton": Path("/t/.triton/cache"),
    }
