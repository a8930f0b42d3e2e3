"""What a test needs of the machine it runs on."""

from __future__ import annotations

import os

import pytest

two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a server and its client need a core each")
