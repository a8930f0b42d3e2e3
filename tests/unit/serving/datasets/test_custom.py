from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving.datasets.tokenizers import Words
from tokgate.errors import InputError
from tokgate.serving.datasets.custom import samples
from tokgate.serving.datasets.sample import Sample

pytestmark = pytest.mark.unit


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n", encoding="utf-8")
    return path


def test_prompts_go_through_the_models_chat_template(tmp_path: Path) -> None:
    path = written(tmp_path, {"prompt": "w1 w2"})
    assert samples(Words(), path, 1, 0, 5, template={}) == [Sample("w90 w1 w2 w91", 4, 5)]
    assert samples(Words(), path, 1, 0, 5) == [Sample("w1 w2", 2, 5)]


def test_without_a_template_the_way_out_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, {"prompt": "w1"})
    with pytest.raises(InputError, match=r"no chat template \(chat_template is not set\); add --skip-chat-template"):
        samples(Words(template=False), path, 1, 0, template={})


def test_a_line_may_ask_for_its_own_length(tmp_path: Path) -> None:
    path = written(tmp_path, {"prompt": "w1", "output_tokens": 3}, {"prompt": "w2", "output_tokens": "9"})
    assert [sample.output_len for sample in samples(Words(), path, 2, 0, -1, shuffle=False)] == [3, 9]


@pytest.mark.parametrize("tokens", [0, None, "x", -1])
def test_no_length_of_its_own_is_refused(tmp_path: Path, tokens: object) -> None:
    path = written(tmp_path, {"prompt": "w1", "output_tokens": tokens})
    with pytest.raises(InputError, match="--custom-output-len -1 needs a whole number"):
        samples(Words(), path, 1, 0, -1)


def test_without_a_tokenizer_no_length_is_known(tmp_path: Path) -> None:
    assert samples(None, written(tmp_path, {"prompt": "w1"}), 1, 0, 5, template={}) == [Sample("w1", 0, 5)]


def test_0_prompts_are_all_of_them_and_more_are_drawn_again(tmp_path: Path) -> None:
    path = written(tmp_path, *({"prompt": f"w{number}"} for number in range(7)))
    assert len(samples(Words(), path, 0, 0)) == 7
    assert len(samples(Words(), path, 12, 0)) == 12
    assert len(samples(Words(), path, 12, 0, oversample=False)) == 7
    assert len({sample.prompt for sample in samples(Words(), path, 5, 0)}) == 5


def test_a_line_separator_inside_a_prompt_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "one\u2028two"}\n', encoding="utf-8")
    assert samples(None, path, 1, 0)[0].prompt == "one\u2028two"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"prompt": "w1"}\n{', r"prompts.jsonl:2: .*expected one JSON object a line"),
        ('{"text": "w1"}', r'prompts.jsonl:1: no "prompt"'),
        ("[]", r'prompts.jsonl:1: no "prompt"'),
        ("\n", "no usable prompt there"),
    ],
)
def test_another_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        samples(Words(), path, 1, 0)


def test_a_file_of_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="expected one JSON object a line"):
        samples(Words(), path, 1, 0)
