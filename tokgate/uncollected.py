"""Big libraries imported, and given up at the end, without the garbage collector. Standard library alone.

Each of vLLM's processes makes millions of objects while it imports, of which hardly one is garbage. To look at them
again and again takes a sixth of the import, and to free them one by one at the end some seconds; each start is three
processes, one after another.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
from collections.abc import Iterator

# What the processes import that vLLM spawns. Of a version that keeps it elsewhere, it is imported a moment later.
_OF_CHILDREN = ("vllm.v1.engine.core",)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No collection while the `with` lasts, nor when the process ends; what is garbage then is collected in between."""
    # Registered first, it runs last: what others do at the end goes on as it would.
    atexit.register(gc.freeze)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def import_as_a_child() -> None:
    """For a process that vLLM spawned, which runs its parent's main module again: what it will need."""
    with uncollected():
        for module in _OF_CHILDREN:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
