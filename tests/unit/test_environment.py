"""What an environment says of itself."""

from __future__ import annotations

import sys

import pytest

from tokgate import environment

pytestmark = pytest.mark.unit


def test_what_only_other_environments_hold_is_not_told_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or every session since would differ from those accepted before by a package that neither has."""
    found = {"torch": "none", "onnx": "1.23.2", "onnx-ir": "1.1.0", "onnxruntime-genai": "none"}
    monkeypatch.setattr(environment, "versions", lambda python: found)
    told = environment.environment.__wrapped__(sys.executable).versions
    assert "onnxruntime-genai" not in told
    assert (told["onnx-ir"], told["torch"]) == ("1.1.0", "none")
