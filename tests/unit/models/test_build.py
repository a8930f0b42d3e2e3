from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tokgate.child import ChildError, run_child

pytestmark = pytest.mark.unit


def run(tmp_path: Path, step: str, **arguments: object) -> list[dict[str, Any]]:
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"step": step, "arguments": arguments}))
    events: list[dict[str, Any]] = []
    run_child([sys.executable, "-m", "tokgate.models.build", str(request)], events.append)
    return events


def test_an_unknown_step_is_an_error_and_not_a_silence(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="KeyError: 'bake'") as raised:
        run(tmp_path, "bake")
    assert raised.value.returncode == 1


def test_a_check_reports_its_distance_and_the_peak_of_its_memory(tmp_path: Path, tiny: Any) -> None:
    events = run(tmp_path, "check", folder=str(tiny.int8.path), exact=False)
    assert [event["event"] for event in events] == ["step", "done"]
    assert events[-1]["meta"] == tiny.int8.meta["accuracy"]
    assert 30e6 < events[-1]["peak_rss_bytes"] < 2e9


def test_errors_of_a_step_show_no_token(tmp_path: Path) -> None:
    with pytest.raises(ChildError) as raised:
        run(tmp_path, "check", folder=str(tmp_path / "hf_abcdefGHIJKL0123456789"), exact=False)
    assert "hf_***" in str(raised.value)
    assert "hf_abc" not in str(raised.value) + raised.value.tail
