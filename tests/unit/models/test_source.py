from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.hub_layout import REVISION, lay_out
from tokgate.errors import InputError
from tokgate.models import hub, source
from tokgate.models.catalog import load_model
from tokgate.models.source import resolve
from tokgate.session import check_slug

pytestmark = pytest.mark.unit

INSTRUCT = load_model("qwen2.5-0.5b-instruct")
SMALL_CONFIG = load_model("tiny").shape.config()


def local_model(folder: Path, weights: bytes = b"weights") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SMALL_CONFIG))
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_auto_takes_the_pinned_snapshot_if_it_is_cached(tmp_path: Path) -> None:
    assert INSTRUCT.hub_id is not None
    assert INSTRUCT.revision is not None
    files = {"config.json": json.dumps(SMALL_CONFIG).encode(), "model.safetensors": b"x"}
    snapshot = lay_out(tmp_path, INSTRUCT.hub_id, INSTRUCT.revision, files)
    found = resolve("auto", "qwen2.5-0.5b-instruct", hub_cache=tmp_path)
    assert (found.kind, found.model_id, found.path) == ("hub", "qwen2.5-0.5b-instruct", snapshot)
    assert found.real_weights
    assert found.vocab_size == 2000
    assert found.identity == f"Qwen/Qwen2.5-0.5B-Instruct@{INSTRUCT.revision}"
    assert "is in the hub's cache" in found.note


def test_auto_without_hub_is_dummy_and_says_so(tmp_path: Path) -> None:
    found = resolve("auto", "qwen2.5-0.5b-instruct", hub_cache=tmp_path)
    assert (found.kind, found.model_id) == ("dummy", "qwen2.5-0.5b-instruct-dummy")
    assert not found.real_weights
    assert "dummy weights in the shape of qwen2.5-0.5b" in found.note
    assert "not in the hub's cache and the network was not asked" in found.note


@pytest.mark.parametrize(("answers", "kind"), [(True, "hub"), (False, "dummy")])
def test_auto_asks_the_network_only_where_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers: bool, kind: str
) -> None:
    asked = []

    def is_reachable(*about: str) -> bool:
        asked.append(about)
        return answers

    monkeypatch.setattr(hub, "is_reachable", is_reachable)
    resolve("auto", "qwen2.5-0.5b-instruct", hub_cache=tmp_path)
    assert not asked
    found = resolve("auto", "qwen2.5-0.5b-instruct", hub_cache=tmp_path, allow_network=True)
    assert found.kind == kind
    assert len(asked) == 1


def test_auto_takes_nothing_from_the_hub_that_is_not_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "is_reachable", lambda *_: pytest.fail("asked"))
    found = resolve("auto", "mistral-7b", allow_network=True)
    assert found.model_id == "mistral-7b-dummy"
    assert "pins no revision" in found.note


def test_dummy_is_of_the_rows_own_shape_and_a_name_of_that_shape() -> None:
    assert resolve("dummy", "mistral-7b").model_id == "mistral-7b-dummy"
    for option in ("tiny", "dummy:tiny"):
        found = resolve(option, "mistral-7b")
        assert (found.model_id, found.vocab_size, found.max_context) == ("tiny-dummy", 2000, 2048)


def test_names_that_share_a_shape_share_their_dummy_weights() -> None:
    base, instruct = resolve("dummy", "qwen2.5-0.5b"), resolve("dummy", "qwen2.5-0.5b-instruct")
    assert base.identity == instruct.identity
    assert base.slug == instruct.slug
    assert base.model_id != instruct.model_id


def test_a_dummys_identity_is_made_of_shape_and_seed() -> None:
    tiny = resolve("tiny", "tiny")
    assert tiny.identity == resolve("dummy", "tiny").identity
    assert replace(tiny, seed=1).identity != tiny.identity
    assert replace(tiny, shape=replace(tiny.shape, rope_theta=1.0)).identity != tiny.identity


def test_a_pinned_hub_id_comes_from_the_cache(tmp_path: Path) -> None:
    files = {"config.json": json.dumps(SMALL_CONFIG).encode(), "model.safetensors": b"x"}
    lay_out(tmp_path, "Org/Some-Model", REVISION, files)
    found = resolve(f"Org/Some-Model@{REVISION}", "tiny", hub_cache=tmp_path)
    assert (found.kind, found.model_id) == ("hub", "some-model")


def test_a_pinned_hub_id_not_cached_needs_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    option = f"Org/Some-Model@{REVISION}"
    with pytest.raises(InputError, match="not in the hub's cache, and the network was not asked"):
        resolve(option, "tiny", hub_cache=tmp_path)
    monkeypatch.setattr(hub, "fetch_config", lambda *_: SMALL_CONFIG)
    found = resolve(option, "tiny", hub_cache=tmp_path, allow_network=True)
    assert found.path is None
    assert found.vocab_size == 2000


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", f"needs a revision: Qwen/Qwen2.5-0.5B-Instruct@{INSTRUCT.revision}"),
        ("Org/Other", "a hub id needs a revision: Org/Other@REVISION"),
        ("Org/Other@main", "revision 'main' is not 40 lower-case hex digits"),
        (f"Org/Other@{REVISION[:39]}", "is not 40"),
        (f"Org/Other@{REVISION.upper()}", "is not 40"),
        (f"Other@{REVISION}", "'Other' is no hub id"),
        ("tinny", "is unknown; expected auto, dummy, one of mistral-7b, "),
        ("dummy:tinny", "unknown model 'tinny'; known: "),
        ("/no/such/folder", "is unknown"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_what_can(option: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        resolve(option, "tiny", allow_network=False)


def test_a_folder_is_a_model_named_like_it(tmp_path: Path) -> None:
    found = resolve(str(local_model(tmp_path / "My Model_v2")), "tiny")
    assert (found.kind, found.model_id, found.real_weights) == ("local", "my-model_v2", True)


def test_a_local_models_identity_is_its_content(tmp_path: Path) -> None:
    one = resolve(str(local_model(tmp_path / "one")), "tiny").identity
    assert one == resolve(str(local_model(tmp_path / "same")), "tiny").identity
    assert one != resolve(str(local_model(tmp_path / "other", b"weighty")), "tiny").identity
    (tmp_path / "same" / "notes.md").write_text("of no consequence")
    assert one == resolve(str(tmp_path / "same"), "tiny").identity


@pytest.mark.parametrize(
    ("remove", "add", "said"),
    [
        ("model.safetensors", "pytorch_model.bin", "only pickled weights (pytorch_model.bin)"),
        ("model.safetensors", "consolidated.pt", "only pickled weights (consolidated.pt)"),
        ("model.safetensors", None, "no weights"),
        ("config.json", None, "no config.json there"),
    ],
)
def test_a_folder_without_safe_weights_is_refused(tmp_path: Path, remove: str, add: str | None, said: str) -> None:
    folder = local_model(tmp_path / "model")
    (folder / remove).unlink()
    if add:
        (folder / add).write_bytes(b"\x80\x04")
    with pytest.raises(InputError, match=re.escape(said)):
        resolve(str(folder), "tiny")


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_folder_with_a_broken_config_is_refused(tmp_path: Path, text: str) -> None:
    folder = local_model(tmp_path / "model")
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        resolve(str(folder), "tiny")


@given(st.text(min_size=1, max_size=40))
def test_any_folder_name_becomes_a_part_of_an_id(name: str) -> None:
    check_slug("slug", source._slug(name))


def test_resolving_reads_no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def read(*_: Any) -> str:
        raise AssertionError("the weights were read")

    monkeypatch.setattr(source, "_content_hash", read)
    resolve(str(local_model(tmp_path / "model")), "tiny")
