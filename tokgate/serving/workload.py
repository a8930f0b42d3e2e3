"""The serving workloads that a machine's limits are of, and which of them a client's file measured.

A scenario id says what a row is: `qwen2.5-0.5b.serve.fp16.c50.p512.o512` is 50 requests at a time, prompts of 512
tokens, 512 tokens generated for each; what stands between precision and `c50` are settings of the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokgate.errors import InputError
from tokgate.gate.limits import check_key, check_text, tables
from tokgate.serving.vllm_file import VllmFile
from tokgate.session import check_slug

_ID = re.compile(r"(?P<model>.+)\.serve\.(?P<precision>[^.]+)(?P<variants>(?:\.[^.]+)*)\.c(\d+)\.p(\d+)\.o(\d+)")
_KEYS = ("scenario", "num_prompts", "source")
_HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")
# Random prompts are made as text; a tokenizer gives some of them a token more or less.
_PROMPT_SLACK = 0.02


@dataclass(frozen=True)
class Workload:
    """A row that client files are held against. `variants`: settings of the server, none where it is the default.

    Lengths are in tokens; `source`: who says that the row is measured with `num_prompts`.
    """

    scenario: str
    model: str
    variants: tuple[str, ...]
    concurrency: int
    prompt_len: int
    output_len: int
    num_prompts: int
    source: str

    def __str__(self) -> str:
        return (
            f"{self.scenario} ({self.num_prompts} prompts of {self.prompt_len} tokens, {self.output_len} generated "
            f"for each, concurrency {self.concurrency})"
        )


def parse_workloads(data: Mapping[str, Any], source: str) -> list[Workload]:
    """The [[workload]] tables of a limits.toml; `source` names it in errors. Raises InputError."""
    found = [
        _workload(table, f"{source}: workload {number}")
        for number, table in enumerate(tables(data, "workload", source), 1)
    ]
    names = [workload.scenario for workload in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{source}: workload {name} stands twice; leave one")
    return found


def named(scenario: str, workloads: Sequence[Workload], source: str) -> Workload:
    """The workload that --scenario names. Raises InputError with those that there are."""
    for workload in workloads:
        if workload.scenario == scenario:
            return workload
    raise InputError(f"{source}: no row {scenario!r} to hold it against; {_listed(workloads)}")


def fitting(file: VllmFile, workloads: Sequence[Workload], source: str) -> Workload:
    """The workload at default settings that the file's shape is of. Raises InputError if none is, or several are."""
    shaped = [workload for workload in workloads if not workload.variants and not _shape_faults(file, workload)]
    if not shaped:
        raise InputError(
            f"{source}: {_shape(file)} is the shape of no row at default settings; "
            f"--scenario ID names one by hand; {_listed(workloads)}"
        )
    alike = [workload for workload in shaped if workload.model == model_part(file.model)]
    if not alike and _HUB_NAME.fullmatch(file.model):
        raise InputError(
            f"{source}: its model is {file.model!r}, and the row of its shape is of {shaped[0].model}; to hold it "
            f"against that row all the same, say --scenario {shaped[0].scenario}"
        )
    left = alike or shaped
    exact = [workload for workload in left if not _output_faults(file, workload)]
    if len(left) > 1 and len(exact) != 1:
        raise InputError(f"{source}: its shape is that of several rows; name one with --scenario ID; {_listed(left)}")
    return exact[0] if exact else left[0]


def work_faults(file: VllmFile, workload: Workload) -> list[str]:
    """Why the file's work is not the workload's; empty where it is."""
    return [*_shape_faults(file, workload), *_output_faults(file, workload)]


def model_notes(file: VllmFile, workload: Workload, by_hand: bool) -> list[str]:
    """What to say where the server was called something else than the row's model."""
    if model_part(file.model) == workload.model:
        return []
    why = "because --scenario says so" if by_hand else "because its shape is that row's; --scenario ID says otherwise"
    called = f"calls the model {file.model!r}" if file.model else "names no model"
    return [f"the file {called}; held against {workload.scenario} {why}"]


def _workload(table: Mapping[str, Any], source: str) -> Workload:
    for key in table:
        check_key(key, _KEYS, source)
    scenario = check_slug(f"{source}: scenario", check_text(table, "scenario", source))
    parts = _ID.fullmatch(scenario)
    if parts is None:
        raise InputError(f"{source}: scenario is {scenario!r}; expected MODEL.serve.PRECISION[.SETTING...].cN.pN.oN")
    num_prompts = table.get("num_prompts")
    if isinstance(num_prompts, bool) or not isinstance(num_prompts, int) or num_prompts < 1:
        raise InputError(f"{source}: num_prompts is {num_prompts!r}; expected a whole number from 1 up")
    concurrency, prompt_len, output_len = map(int, parts.groups()[3:])
    return Workload(
        scenario=scenario,
        model=parts["model"],
        variants=tuple(parts["variants"].split(".")[1:]),
        concurrency=concurrency,
        prompt_len=prompt_len,
        output_len=output_len,
        num_prompts=num_prompts,
        source=check_text(table, "source", source),
    )


def _shape_faults(file: VllmFile, workload: Workload) -> list[str]:
    found = []
    if file.num_prompts != workload.num_prompts:
        found.append(f"num_prompts is {file.num_prompts}; the row has {workload.num_prompts}")
    if file.max_concurrency != workload.concurrency:
        found.append(f"max_concurrency is {file.max_concurrency or 'none'}; the row has {workload.concurrency}")
    if abs(file.mean_prompt_len - workload.prompt_len) > _PROMPT_SLACK * workload.prompt_len:
        found.append(
            f"a prompt has {file.mean_prompt_len:.6g} tokens (total_input_tokens {file.total_input_tokens} over "
            f"{file.completed} requests); the row has {workload.prompt_len}"
        )
    if file.pacing:
        found.append(f"requests were spread over time by {file.pacing}; the row sends them as fast as they are served")
    return found


def _output_faults(file: VllmFile, workload: Workload) -> list[str]:
    found = []
    asked = workload.num_prompts * workload.output_len
    if file.total_output_tokens != asked:
        found.append(
            f"total_output_tokens is {file.total_output_tokens}; {workload.num_prompts} requests of "
            f"{workload.output_len} tokens make {asked}: measure with --ignore-eos"
        )
    short = [length for length in file.details.output_lens if length != workload.output_len]
    if short:
        found.append(f"{len(short)} requests got another number of tokens than {workload.output_len}, as {short[0]}")
    return found


def model_part(name: str) -> str:
    """The part of a row's id that a model's name makes: "Qwen/Qwen2.5-0.5B" -> "qwen2.5-0.5b"."""
    return name.rstrip("/").rsplit("/", 1)[-1].lower()


def _shape(file: VllmFile) -> str:
    shape = (
        f"{file.num_prompts} prompts of {file.mean_prompt_len:.6g} tokens, concurrency {file.max_concurrency or 'none'}"
    )
    return f"{shape}, {file.pacing}" if file.pacing else shape


def _listed(workloads: Sequence[Workload]) -> str:
    if not workloads:
        return "this machine's limits.toml has no [[workload]]"
    return "there are:" + "".join(f"\n  {workload}" for workload in workloads)
