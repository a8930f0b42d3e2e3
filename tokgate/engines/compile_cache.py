"""What came into the caches of compiled things while an engine was loaded. Standard library alone.

That is what it compiled anew, and what others did meanwhile who share the caches: two nights beside each other on two
GPUs of one host do.

Cached are vLLM's compiled graphs (a folder for each), FlashInfer's kernels (a library for each; some are compiled
when a sampler first wants them), and Triton's kernels (a folder for each). With all three warm an H200 starts the same
model several times as fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# What holds one compiled thing, by cache: a pattern below its folder. vLLM names graphs by hash, 0.2x and later keep
# whole compiled models beside them.
_COMPILED = {
    "vllm": ("torch_compile_cache/[0-9a-f]*", "torch_compile_cache/torch_aot_compile/*"),
    "flashinfer": ("**/*.so",),
    "triton": ("*/",),
}


def cache_folders(environ: Mapping[str, str], home: Path) -> dict[str, Path]:
    """The folder of each cache, which need not be there."""
    caches = Path(environ.get("XDG_CACHE_HOME", home / ".cache"))
    return {
        "vllm": Path(environ.get("VLLM_CACHE_ROOT", caches / "vllm")),
        "flashinfer": Path(environ.get("FLASHINFER_WORKSPACE_BASE", home)) / ".cache" / "flashinfer",
        "triton": Path(environ.get("TRITON_CACHE_DIR", Path(environ.get("TRITON_HOME", home)) / ".triton" / "cache")),
    }


class CompileWatch:
    """Made before an engine is loaded, asked afterwards."""

    def __init__(self, environ: Mapping[str, str], home: Path) -> None:
        self._folders = cache_folders(environ, home)
        self._before = self._compiled()

    def new(self) -> dict[str, int]:
        """Cache -> how many compiled things came into it since; of caches that nothing came into, nothing."""
        counts = {name: len(found - self._before[name]) for name, found in self._compiled().items()}
        return {name: count for name, count in counts.items() if count}

    def _compiled(self) -> dict[str, set[Path]]:
        return {
            name: {path for pattern in _COMPILED[name] for path in folder.glob(pattern)}
            for name, folder in self._folders.items()
        }
