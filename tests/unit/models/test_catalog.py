from __future__ import annotations

from pathlib import Path

import pytest

from tokgate.errors import InputError
from tokgate.models.catalog import MODELS_DIR, known_names, load_model

pytestmark = pytest.mark.unit


def test_every_file_of_scenarios_models_is_a_model() -> None:
    assert {"qwen2.5-0.5b", "qwen2.5-0.5b-instruct", "qwen2.5-7b", "mistral-7b", "tiny"} <= set(known_names())
    for name in known_names():
        assert load_model(name).name == name


def test_the_default_model_shares_its_shape_and_is_pinned() -> None:
    instruct, base = load_model("qwen2.5-0.5b-instruct"), load_model("qwen2.5-0.5b")
    assert instruct.shape == base.shape
    assert instruct.shape_name == base.shape_name == "qwen2.5-0.5b"
    assert instruct.revision == "7ae557604adf67be50417f59c2c2f167def9a775"
    assert base.revision is None


def test_an_unknown_model_is_told_which_are_known() -> None:
    with pytest.raises(InputError, match=r"unknown model 'qwen3'; known: .*mistral-7b, .*tiny"):
        load_model("qwen3")


CONFIG = (MODELS_DIR / "tiny.toml").read_text()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (CONFIG.replace("hidden_size", "hiden_size"), "hiden_size"),
        (CONFIG.replace("vocab_size = 2000", 'vocab_size = "2000"'), "vocab_size"),
        (CONFIG.replace('name = "tiny"', 'name = "tinny"'), "expected 'tiny'"),
        (CONFIG.replace('name = "tiny"', 'name = "tiny"\nshape = "other"'), "and not both"),
        (CONFIG.replace('name = "tiny"', 'name = "tiny"\nrevision = "abc"'), "without a hub_id"),
        ('name = "tiny"\n', "either a"),
        ("name = tiny", "tiny.toml"),
        ('name = "tiny"\nshape = "missing"\n', "unknown model 'missing'"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, seen: str) -> None:
    (tmp_path / "tiny.toml").write_text(text)
    with pytest.raises(InputError, match=seen):
        load_model("tiny", tmp_path)
