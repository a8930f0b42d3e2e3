"""A server that is there already: where its requests go, and what it is asked."""

from __future__ import annotations

import pytest

from tokgate.errors import InputError
from tokgate.serving.remote import Remote, RemoteOptions, find_remote, target_of
from tokgate.serving.server import free_port
from tokgate.stub.process import running

pytestmark = pytest.mark.unit

PATH = "/v1/completions"


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://10.0.0.7:8000", "http://10.0.0.7:8000/v1/completions"),
        ("https://host.example", "https://host.example:443/v1/completions"),
        ("https://host.example/v1/", "https://host.example:443/v1/completions"),
        ("https://api.example/v2/abc/openai/v1", "https://api.example:443/v2/abc/openai/v1/completions"),
    ],
)
def test_a_base_url_is_taken_with_or_without_v1(base_url: str, expected: str) -> None:
    assert target_of(base_url, PATH, "", {}).url == expected


@pytest.mark.parametrize(
    "base_url", ["host.example:8000", "ftp://host.example", "http://host.example:port", "http://", "http://h/?a=1"]
)
def test_what_is_no_url_is_refused(base_url: str) -> None:
    with pytest.raises(InputError, match="is no base URL"):
        target_of(base_url, PATH, "", {})


def test_a_url_with_a_password_is_not_recorded() -> None:
    with pytest.raises(InputError, match="--perf-api-key-env"):
        target_of("https://user:secret@host.example", PATH, "", {})


def test_the_key_comes_from_the_variable_and_an_empty_one_is_told() -> None:
    target = target_of("https://host.example", PATH, "KEY", {"KEY": "abc"})
    assert target.headers == (("Authorization", "Bearer abc"),)
    with pytest.raises(InputError, match="KEY: there is no such variable, or it is empty"):
        target_of("https://host.example", PATH, "KEY", {})


def test_a_server_of_one_model_is_asked_for_its_name() -> None:
    with running("--served-model-name", "Qwen/Qwen2.5-0.5B-Instruct") as stub:
        assert find_remote(RemoteOptions(stub.url), {}) == Remote(stub.url, "Qwen/Qwen2.5-0.5B-Instruct")
        assert find_remote(RemoteOptions(stub.url, model="other"), {}).model == "other"


def test_a_server_that_does_not_answer_is_told_with_what_to_do() -> None:
    """Naming its model would make it answer no better."""
    with pytest.raises(InputError, match=r"/v1/models: nothing listens there; start the server, or correct the URL$"):
        find_remote(RemoteOptions(f"http://127.0.0.1:{free_port()}"), {})


def test_a_server_that_lists_no_models_is_measured_by_a_name_that_is_given() -> None:
    with (
        running("--fault", "1:404") as stub,
        pytest.raises(InputError, match=r"nowhere/v1/models gave no list of models"),
    ):
        find_remote(RemoteOptions(f"{stub.url}/nowhere"), {})
