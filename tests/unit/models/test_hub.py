from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from models.hub_layout import REVISION, lay_out
from tokgate.errors import InputError
from tokgate.models import hub

pytestmark = pytest.mark.unit


def test_a_snapshot_is_cached_when_its_config_and_weights_are(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": b"x"}
    snapshot = lay_out(tmp_path, "org/whole", REVISION, files)
    lay_out(tmp_path, "org/half", REVISION, {"config.json": b"{}", "pytorch_model.bin": b"x"})
    assert hub.cached_snapshot("org/whole", REVISION, tmp_path) == snapshot
    assert hub.cached_snapshot("org/half", REVISION, tmp_path) is None
    assert hub.cached_snapshot("org/none", REVISION, tmp_path) is None
    assert hub.cached_snapshot("org/whole", "f" * 40, tmp_path) is None


def test_a_sharded_snapshot_is_cached_when_every_shard_is(tmp_path: Path) -> None:
    index = b'{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    files = {"config.json": b"{}", "model.safetensors.index.json": index, "model-1.safetensors": b"x"}
    lay_out(tmp_path, "org/half", REVISION, files)
    lay_out(tmp_path, "org/whole", REVISION, {**files, "model-2.safetensors": b"x"})
    assert hub.cached_snapshot("org/half", REVISION, tmp_path) is None
    assert hub.cached_snapshot("org/whole", REVISION, tmp_path) is not None


def test_nothing_is_reachable_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(threading, "Thread", ask)
    assert not hub.is_reachable("org/name", REVISION)


def point_to(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """A hub of ours, on this machine."""
    url = f"http://127.0.0.1:{port}/config.json"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *_, **__: url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_hub_that_never_answers_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_to(monkeypatch, silent.getsockname()[1])
        started = time.monotonic()
        assert not hub.is_reachable("org/name", REVISION, timeout_s=0.2)
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("status", "reachable", "there"),
    [(200, True, True), (307, True, True), (401, False, True), (404, False, True), (503, False, False)],
)
def test_a_hub_is_reachable_if_it_has_the_revision_and_there_if_it_answers(
    monkeypatch: pytest.MonkeyPatch, status: int, reachable: bool, there: bool
) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        point_to(monkeypatch, server.server_port)
        assert hub.is_reachable("org/name", REVISION, timeout_s=20) is reachable
        assert hub.is_there("name", timeout_s=20) is there
        server.shutdown()


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_can_be_no_name_of_a_model_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: pytest.fail("asked"))
    assert not hub.is_there("/no/such folder", timeout_s=20)


def test_a_download_without_safetensors_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def snapshot_download(hub_id: str, **options: Any) -> str:
        asked.update(options)
        (tmp_path / "config.json").write_text("{}")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(InputError, match=r"no \*\.safetensors; pickled weights are never loaded"):
        hub.download(lambda event: None, "org/name", REVISION, None)
    assert asked["revision"] == REVISION
    assert not {"*", "*.bin", "*.pt", "*.py"} & set(asked["allow_patterns"])


def test_a_failed_download_says_why_and_shows_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*_: Any, **__: Any) -> str:
        raise OSError("401 for Bearer hf_abcdefGHIJKL0123456789")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(InputError, match=r"org/name@.* 401 for Bearer hf_\*\*\*$"):
        hub.download(lambda event: None, "org/name", REVISION, None)


def test_a_config_that_cannot_be_fetched_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="or take --model dummy"):
        hub.fetch_config("org/name", REVISION, tmp_path)
