"""Imports without the garbage collector."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from tokgate.uncollected import import_as_a_child, uncollected

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_off_meanwhile_and_then_as_it_was(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_nothing_is_frozen_before_the_process_ends() -> None:
    """What is garbage after the imports is collected, and memory measured then holds none of it."""
    code = (
        "import atexit, gc\n"
        "atexit.register(lambda: print('ends', gc.get_freeze_count() > 0))\n"
        "from tokgate.uncollected import uncollected\n"
        "with uncollected(): pass\n"
        "print('runs', gc.get_freeze_count() > 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["runs False", "ends True", ""]


def test_a_child_of_another_version_of_vllm_imports_later_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    import_as_a_child()
    assert gc.isenabled()
