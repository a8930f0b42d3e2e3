"""What to do about failed requests, by what the server said of them."""

from __future__ import annotations

import pytest

from tokgate.serving.advice import advice

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "said",
    [
        'HTTP 400: {"error":{"message":"Token id 136509 is out of vocabulary","type":"BadRequestError"}}',
        "The input_ids [5, 6] contains values greater than the vocab size (32000).",
        "HTTP 400: The input_ids [136509, 271, 9...",
    ],
)
def test_another_vocabulary_has_a_remedy(said: str) -> None:
    found = advice(["Errno 111", said])
    assert found.startswith("see the server's log; prompts are token ids of --perf-model's vocabulary")
    assert "--perf-model=DIR or --perf-model=ORG/NAME@REVISION" in found


@pytest.mark.parametrize("said", [[], [""], ["503"], ["HTTP 401: invalid token", "no such model"]])
def test_anything_else_is_in_the_servers_log(said: list[str]) -> None:
    assert advice(said) == "see the server's log"
