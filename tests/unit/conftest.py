"""Says what the suite's own tests need, before 40 files fail to import it; and what tests of several modules share."""

import contextlib
import importlib.util
import os
import signal
import threading
from collections.abc import Iterator

import pytest

if importlib.util.find_spec("hypothesis") is None:
    raise pytest.UsageError(
        "the suite's own tests need hypothesis: make test, or pip install -r requirements-dev.txt. To measure: -m cpu"
    )

from hypothesis import settings

# A first example imports scipy, and any may find its core taken: that is late, and no failure.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")

# A test whose subject waits for the deathless without end fails then.
_PATIENCE_S = 20.0


@pytest.fixture
def deathless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is killed with its group lives on, as a process does that waits inside the driver; patience is short.

    A process of a test is stopped for that: one that runs would see that it was left, and end.
    """
    from tokgate import killing

    killed: set[int] = set()
    killpg = os.killpg

    def kill() -> None:
        for group in killed:
            with contextlib.suppress(ProcessLookupError):
                killpg(group, signal.SIGKILL)

    monkeypatch.setattr(os, "killpg", lambda group, number: killed.add(group))
    monkeypatch.setattr(killing, "DEATH_S", 0.5)
    late = threading.Timer(_PATIENCE_S, kill)
    late.start()
    yield
    late.cancel()
    kill()
    for group in killed:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(group, 0)
