"""Says what the suite's own tests need, before 40 files fail to import it."""

import importlib.util

import pytest

if importlib.util.find_spec("hypothesis") is None:
    raise pytest.UsageError(
        "the suite's own tests need hypothesis: make test, or pip install -r requirements-dev.txt. To measure: -m cpu"
    )

from hypothesis import settings

# A first example imports scipy, and any may find its core taken: that is late, and no failure.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
