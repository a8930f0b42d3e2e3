"""The bodies of POST /generate, and the limits that a request must keep."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tokgate.generate.settings import DEFAULT_STEPS, LEAST_TEMPERATURE, MOST_TEMPERATURE, Limits
from tokgate.generate.textmodel import Ask


class LimitError(Exception):
    """A request asks for what it may not. `place`: the field, as FastAPI names them."""

    def __init__(self, place: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.place = ("body", *place)


class _Strict(BaseModel):
    # A misspelt parameter would else be as if it were not there.
    model_config = ConfigDict(extra="forbid", strict=True)


class Parameters(_Strict):
    """`temperature` 0: greedy. `max_steps`: output tokens at most, with `ignore_eos` exactly; None: DEFAULT_STEPS, if
    that is within the limits."""

    temperature: float = Field(default=0.0, allow_inf_nan=False)
    max_steps: int | None = None
    ignore_eos: bool = False


class GenerateRequest(_Strict):
    """`prompt`: a text, or token ids, whose number is then exact."""

    prompt: str | list[int]
    parameters: Parameters = Field(default_factory=Parameters)

    @field_validator("prompt")
    @classmethod
    def _is_text(cls, prompt: str | list[int]) -> str | list[int]:
        """JSON can write half a surrogate pair, which no tokenizer takes."""
        if isinstance(prompt, str) and not prompt.isascii():
            prompt.encode()
        return prompt


class GenerateAnswer(BaseModel):
    """Seconds from arrival: in the queue, and in all. `generate_s`: the engine's call, of which `prefill_s` is the
    first token; of `batch` requests at once both are the batch's."""

    response: str
    prompt_tokens: int
    output_tokens: int
    queue_s: float
    prefill_s: float
    generate_s: float
    total_s: float
    batch: int


def ask_of(asked: Parameters, prompt: list[int], limits: Limits, vocab_size: int) -> Ask:
    """What is asked for, with the prompt's tokens. Raises LimitError: what was seen, and what was expected."""
    steps = asked.max_steps
    if steps is not None:
        _check_range("max_steps", steps, 1, limits.steps)
    if asked.temperature != 0:
        _check_range("temperature", asked.temperature, LEAST_TEMPERATURE, MOST_TEMPERATURE, "0 (greedy) or ")
    if not prompt:
        raise LimitError(("prompt",), "the prompt has no tokens; expected at least 1")
    if len(prompt) > limits.prompt_tokens:
        raise LimitError(
            ("prompt",), f"the prompt has {len(prompt)} tokens; expected at most {limits.prompt_tokens}: shorten it"
        )
    wrong = next((token for token in prompt if not 0 <= token < vocab_size), None)
    if wrong is not None:
        raise LimitError(("prompt",), f"token id {wrong}; the model's go from 0 to {vocab_size - 1}")
    if steps is None:
        steps = max(1, min(DEFAULT_STEPS, limits.steps, limits.context_len - len(prompt)))
    if len(prompt) + steps > limits.context_len:
        raise LimitError(
            ("parameters", "max_steps"),
            f"{len(prompt)} prompt tokens and max_steps {steps} make {len(prompt) + steps}; the "
            f"context ends at {limits.context_len}: shorten the prompt or lower max_steps",
        )
    return Ask(tuple(prompt), steps, asked.temperature, asked.ignore_eos)


def _check_range(name: str, value: float, least: float, most: float, also: str = "") -> None:
    if not least <= value <= most:
        raise LimitError(("parameters", name), f"{name} is {value}; expected {also}{least:g} to {most:g}")


def fault(place: Any, message: str) -> dict[str, Any]:
    """One entry of a 422's detail, without the input, which may be long or no JSON (NaN)."""
    return {"loc": list(place), "msg": message}
