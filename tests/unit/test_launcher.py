"""The plans of a group's launches: what they have in common, and what each has of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.unit.silent import Silent
from tokgate import launcher
from tokgate.launch import LaunchRecord
from tokgate.launcher import Launcher, Setting
from tokgate.models.artifacts import Artifact
from tokgate.models.source import resolve
from tokgate.plan import Asked, LaunchPlan, Traffic
from tokgate.scenario import Group, Profile, Scenario
from tokgate.serving.remote import Remote
from tokgate.serving.request import Target
from tokgate.serving.traffic import Loads

pytestmark = pytest.mark.unit

GROUP = Group("tiny", "tiny-dummy", "serve", "fp16", device="gpu")
ROW = Scenario(GROUP, 2, 5, 4, traffic=Traffic(4))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[LaunchPlan]:
    """The plans of the launches that were made."""
    plans: list[LaunchPlan] = []

    def run_launch(plan: LaunchPlan, *args: Any) -> LaunchRecord:
        plans.append(plan)
        return LaunchRecord()

    monkeypatch.setattr(launcher, "run_launch", run_launch)
    return plans


def launches(night: str, remote: Remote | None, group: Group = GROUP) -> None:
    """Three launches of a night."""
    sources = {"tiny": resolve("tiny", "tiny")}
    setting = Setting(Profile("quick", 3, 2), sources, Path(), "", "", "avx2", 2, seed=night, remote=remote)
    each = Launcher(setting, Silent())
    row = dataclasses.replace(ROW, group=group)
    each.run("launch", group, [row], Artifact(Path(), "", {}), each.fresh("launch", []))


def prompts(plan: LaunchPlan) -> set[bytes]:
    """The bodies of all requests of a launch."""
    loads = Loads(plan, Target("http", "h", 80, "/"), 1)
    return {request.body for number, row in plan.order() for request in loads.of_round(number, row, None).requests}


def test_servers_that_are_started_anew_are_sent_the_same_in_every_launch_and_night(made: list[LaunchPlan]) -> None:
    launches("night 1", remote=None)
    launches("night 2", remote=None)
    assert len({plan.prompt_seed for plan in made}) == 1
    assert len({plan.order_seed for plan in made}) == 6


def test_a_server_elsewhere_is_sent_no_prompt_twice_by_no_launch_of_no_night(made: list[LaunchPlan]) -> None:
    """It keeps what it computed of a prompt, and nobody starts it anew."""
    launches("night 1", Remote("http://h:8000", "m"))
    launches("night 2", Remote("http://h:8000", "m"))
    assert len(made) == 6
    assert len(set.union(*map(prompts, made))) == sum(len(prompts(plan)) for plan in made) == 6 * 2 * 4


@pytest.mark.parametrize(
    ("device", "engine", "remote", "early"),
    [
        ("gpu", "vllm", None, True),
        ("cpu", "vllm", None, False),
        ("gpu", "serve", None, True),
        ("cpu", "serve", None, False),
        ("gpu", "vllm", Remote("http://h:8000", "m"), False),
    ],
)
def test_engines_on_a_gpu_are_imported_ahead_of_their_turn(
    made: list[LaunchPlan], device: Any, engine: str, remote: Remote | None, early: bool
) -> None:
    launches("night", remote, dataclasses.replace(GROUP, device=device, engine=engine))
    assert [plan.in_turn for plan in made] == [early] * 3


def test_a_gpu_is_probed_once_for_each_side(made: list[LaunchPlan]) -> None:
    """However early the plans are made."""
    launches("night", None, dataclasses.replace(GROUP, engine="vllm"))
    assert [plan.measure_peaks for plan in made] == [True, False, False]
    made.clear()
    launches("night", None, dataclasses.replace(GROUP, device="cpu", engine="onnx"))
    assert [plan.measure_peaks for plan in made] == [True, True, True]


def test_sampling_that_is_given_goes_before_a_rows_own(made: list[LaunchPlan]) -> None:
    group = Group("tiny", "tiny-dummy", "vllm", "fp16", device="gpu")
    rows = [
        Scenario(group, 2, 5, 4),
        Scenario(group, 2, 5, 4, variants=("sampled",), asked=Asked(sampling={"temperature": 1.0, "seed": 7})),
    ]
    given = {"sampling": {"temperature": 0.5}}
    sources = {"tiny": resolve("tiny", "tiny")}
    setting = Setting(Profile("quick", 1, 2), sources, Path(), "", "", "avx2", 2, seed="night", given=given)
    each = Launcher(setting, Silent())
    each.run("launch", group, rows, Artifact(Path(), "", {}), each.fresh("launch", []))
    (plan,) = made
    assert plan.settings["sampling"] == {"temperature": 0.5}, "of the rows that say nothing themselves"
    assert [row.asked.sampling for row in plan.rows] == [{}, {"temperature": 0.5, "seed": 7}]
