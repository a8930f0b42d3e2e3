"""The workflows: valid, pinned, with no more rights than they need, and their scripts what shellcheck lets pass."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.deploy.files import ACTIONS, EXPRESSION, GITHUB, ROOT, SCRIPTS, WORKFLOWS, check, documents, steps, tool

pytestmark = pytest.mark.unit

NIGHTLY = documents(GITHUB / "workflows" / "nightly.yml")[0]
# YAML 1.1 reads the key `on` as true.
TRIGGERS = NIGHTLY[True]
STEPS = [(path, step) for path in (*WORKFLOWS, *ACTIONS) for step in steps(path)]
RUN_STEPS = [(path, step) for path, step in STEPS if "run" in step]


@pytest.mark.parametrize(("schema", "paths"), [("github-workflows", WORKFLOWS), ("github-actions", ACTIONS)])
def test_the_vendored_schema_holds(schema: str, paths: list[Path]) -> None:
    assert paths
    check(tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *paths)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_ends_by_itself(path: Path) -> None:
    check(tool("check-jsonschema"), "--builtin-schema", "custom.github-workflows-require-timeout", path)


def test_every_action_is_pinned_by_its_full_version() -> None:
    used = [step["uses"] for _, step in STEPS if "uses" in step]
    assert used
    for name in used:
        if name.startswith("./"):
            assert (ROOT / name / "action.yml").exists()
        else:
            assert re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", name)


def scripts() -> list[Any]:
    """Each `run` with its expressions taken for words."""
    named = [(path, step, f"{path.stem}-{number}") for number, (path, step) in enumerate(RUN_STEPS)]
    return [pytest.param(EXPRESSION.sub("x", step["run"]), id=name) for _, step, name in named]


@pytest.mark.parametrize("script", scripts())
def test_a_step_is_a_sound_script(script: str, tmp_path: Path) -> None:
    file = tmp_path / "step.sh"
    file.write_text(f"#!/usr/bin/env bash\n{script}\n")
    # SC2086: a list of runs is meant to be split.
    check(tool("shellcheck"), "--exclude=SC2086", file)


def test_what_people_type_reaches_a_script_only_as_a_variable() -> None:
    """In a script's text it would be run."""
    for _, step in RUN_STEPS:
        assert not EXPRESSION.search(step["run"]), step


def test_scripts_stop_where_a_pipe_fails() -> None:
    for path in WORKFLOWS:
        assert documents(path)[0]["defaults"]["run"]["shell"] == "bash", "named, it comes with pipefail"
    assert all(step["shell"] == "bash" for path in ACTIONS for step in steps(path) if "run" in step)


def test_every_night_each_kind_of_machine_is_measured_by_its_own_runner() -> None:
    assert TRIGGERS["schedule"]
    jobs = NIGHTLY["jobs"]
    nodes = [*jobs["cpu"]["strategy"]["matrix"]["node"]]
    nodes += [entry["node"] for entry in jobs["gpu"]["strategy"]["matrix"]["include"]]
    assert nodes == ["ens", "gpu-t4", "gpu-a10"] == TRIGGERS["workflow_dispatch"]["inputs"]["node"]["options"]
    for name in ("cpu", "gpu"):
        assert jobs[name]["runs-on"] == ["self-hosted", "${{ matrix.node }}"]
        assert jobs[name]["concurrency"] == {"group": "measure-${{ matrix.node }}", "cancel-in-progress": False}
        assert jobs[name]["strategy"]["fail-fast"] is False


def test_the_requirements_of_every_runner_are_there() -> None:
    for path, step in RUN_STEPS:
        for name in re.findall(r"requirements-[\w]+(?:-[\w]+)?\.txt", step["run"]):
            assert (ROOT / name).exists(), f"{path.name} wants {name}"
    assert all(
        (ROOT / entry["requirements"]).exists() for entry in NIGHTLY["jobs"]["gpu"]["strategy"]["matrix"]["include"]
    )


def test_a_gate_can_write_nothing_and_proves_it() -> None:
    assert NIGHTLY["permissions"] == {"contents": "read"}
    for name in ("cpu", "gpu"):
        job = NIGHTLY["jobs"][name]
        assert "permissions" not in job
        assert job["steps"][0]["with"]["persist-credentials"] is False
        assert (job["steps"][-1]["uses"], job["steps"][-1]["if"]) == ("./.github/actions/report", "always()")
    first = next(steps(ACTIONS[0]))
    assert "git status --porcelain" in first["run"]


def test_accepting_is_by_hand_and_by_pull_request() -> None:
    job = NIGHTLY["jobs"]["accept"]
    assert job["if"] == "${{ inputs.runs }}"
    assert job["permissions"] == {"actions": "read", "contents": "write", "pull-requests": "write"}
    text = "\n".join(step["run"] for step in job["steps"] if "run" in step)
    assert "tokgate accept" in text
    assert "gh pr create" in text
    assert "git add baselines\n" in text, "and nothing else"


def test_a_report_holds_what_a_folder_with_a_dot_holds() -> None:
    (upload,) = [step for step in steps(ACTIONS[0]) if "upload-artifact" in step.get("uses", "")]
    assert upload["with"]["include-hidden-files"] is True
    kept = {".tokgate/report.html", ".tokgate/sessions/", ".tokgate/junit*.xml", ".tokgate/issue.md"}
    assert kept <= set(upload["with"]["path"].split())


def test_a_gpu_is_measured_with_a_server_too_whatever_came_out_without() -> None:
    gates = [step for step in NIGHTLY["jobs"]["gpu"]["steps"] if step.get("name", "").startswith("gate")]
    assert [step["run"].split()[:3] for step in gates] == [["pytest", "-m", "gpu"], ["pytest", "-m", "serving"]]
    assert gates[1]["if"] == "${{ !cancelled() }}"
    assert all("--perf-require-baseline" in step["run"] for step in gates)


def test_ci_runs_what_is_run_here() -> None:
    (workflow,) = documents(GITHUB / "workflows" / "ci.yml")
    assert ".ci/run" in [step.get("run") for step in workflow["jobs"]["test"]["steps"]]
    assert workflow["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(path: Path) -> None:
    check(tool("shellcheck"), "--external-sources", path)
    is_program = path.read_text().startswith("#!")
    assert bool(path.stat().st_mode & 0o111) is is_program, f"chmod {'+x' if is_program else '-x'} {path.name}"
