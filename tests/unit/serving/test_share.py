"""What each client process is given to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from serving.loads import load
from tokgate.serving.share import shares_of

pytestmark = pytest.mark.unit


def test_processes_of_an_open_loop_get_as_many_requests_to_each_slot():
    asked = replace(load("http://x:1", 200, max_concurrency=50, processes=3), starts_s=list(range(200)))
    shares = shares_of(asked, None)
    assert [(len(share.requests), share.max_concurrency) for share in shares] == [(68, 17), (68, 17), (64, 16)]
    assert sorted(number for share in shares for number in share.numbers) == list(range(200))
    assert all(list(share.starts_s) == list(share.numbers) for share in shares)
