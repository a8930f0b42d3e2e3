"""Says what the suite's own tests need, before 40 files fail to import it."""

import importlib.util

import pytest

if importlib.util.find_spec("hypothesis") is None:
    raise pytest.UsageError(
        "the suite's own tests need hypothesis: make test, or pip install -r requirements-dev.txt. To measure: -m cpu"
    )
