"""The first error of a log: what vLLM 0.32.0 really wrote, and what it must not be mistaken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.rootcause import first_exception, in_a_line, with_cause

pytestmark = pytest.mark.unit

# Cut from the log of a launch whose KV cache was to be larger than the memory.
VLLM = """\
(Worker pid=12812) WARNING 11-21 18:14:55 [utils.py:597] Failed to create oneDNN linear, fallback. Exception: could not
(Worker pid=12812) ERROR 11-21 18:14:56 [multiproc_executor.py:1063] WorkerProc hit an exception.
(Worker pid=12812) ERROR 11-21 18:14:56 [multiproc_executor.py:1063] Traceback (most recent call last):
(Worker pid=12812) ERROR 11-21 18:14:56 [multiproc_executor.py:1063]   File "cpu_worker.py", line 219, in determine
(Worker pid=12812) ERROR 11-21 18:14:56 [multiproc_executor.py:1063]     raise ValueError(
(Worker pid=12812) ERROR 11-21 18:14:56 [multiproc_executor.py:1063] ValueError: Available memory on node 0 is less
(EngineCore pid=12723) ERROR 11-21 18:14:56 [core.py:1510] Traceback (most recent call last):
(EngineCore pid=12723) ERROR 11-21 18:14:56 [core.py:1510]     raise RuntimeError(
(EngineCore pid=12723) ERROR 11-21 18:14:56 [core.py:1510] RuntimeError: Worker failed with error 'Available memory
Traceback (most recent call last):
  File "worker.py", line 195, in main
RuntimeError: Engine core initialization failed. See root cause above.
"""
LAST = "RuntimeError: Engine core initialization failed. See root cause above."


def test_the_cause_that_vllm_points_at_is_found() -> None:
    assert (
        with_cause(LAST, VLLM) == f"{LAST}; the first error in its log: ValueError: Available memory on node 0 is less"
    )


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ("", None),
        ("ValueError: printed by a library, with no traceback", None),
        ("Traceback (most recent call last):\n  File x\n", None),
        ("Traceback (most recent call last):\n  File x\nkilled\nValueError: later", None),
        (
            "(EngineCore pid=7) Traceback (most recent call last):\n(EngineCore pid=7)   File x\n"
            "(EngineCore pid=7) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB",
        ),
        ("Traceback (most recent call last):\n  File x\nAssertionError\n", "AssertionError"),
    ],
)
def test_an_exception_is_what_ends_a_traceback(log: str, found: str | None) -> None:
    assert first_exception(log) == found


@pytest.mark.parametrize(
    "message", ["OutOfMemoryError: CUDA out of memory", "it said: torch.OutOfMemoryError: CUDA out of memory"]
)
def test_an_error_is_not_told_twice(message: str) -> None:
    log = "Traceback (most recent call last):\n  File x\ntorch.OutOfMemoryError: CUDA out of memory"
    assert with_cause(message, log) == message


@given(st.text())
def test_any_log_can_be_read(log: str) -> None:
    assert with_cause("message", log).startswith("message")


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("it crashed", "it crashed"),
        ("it crashed\n(all of it: x.log)", "it crashed"),
        (
            "the server ended with status 2; its log x.log ends:\nusage: vllm\nvllm: error: unknown: --x\n",
            "the server ended with status 2: vllm: error: unknown: --x",
        ),
        ("it died:\nTraceback (most recent call last):\n  x\nKeyError: 1\nlater", "it died: KeyError: 1"),
        ("", ""),
        ("it crashed\nbesides: so did that; twice\n(all of it: x.log)", "it crashed; besides: so did that; twice"),
        (
            "it died:\nTraceback (most recent call last):\n  x\nKeyError: 1\nlater\nbesides: a\nbesides: b",
            "it died: KeyError: 1; besides: a; besides: b",
        ),
    ],
)
def test_an_error_of_many_lines_is_told_in_one(why: str, said: str) -> None:
    assert in_a_line(why) == said
