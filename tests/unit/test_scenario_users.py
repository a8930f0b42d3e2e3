"""Rows of users: their ids, what they are told, and how a profile hurries them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokgate.errors import InputError
from tokgate.matrix_file import load_matrix
from tokgate.metrics import SERVING_METRICS
from tokgate.plan import PlanRow, Users
from tokgate.scenario import Matrix, Scenario

pytestmark = pytest.mark.unit

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def row(matrix: Matrix, name: str, profile: str = "nightly") -> Scenario:
    (found,) = [row for row in matrix.rows(profile) if row.id == f"qwen2.5-0.5b-instruct.{name}"]
    return found


def users(scenario: Scenario) -> Users:
    assert scenario.traffic is not None
    assert scenario.traffic.users is not None
    return scenario.traffic.users


def test_the_guides_demo_day_and_the_assignment_are_rows() -> None:
    """100 users at 10 a second who think 0.5 to 3 s, 100 tokens each; 5 at 0.1 a second for 150 s, 7 in and 100 out."""
    gpu, cpu = load_matrix(SCENARIOS / "load-gpu.toml"), load_matrix(SCENARIOS / "load-cpu.toml")
    assert users(row(gpu, "serve.fp16.users.c100.p32.o100")) == Users("completions", True, 10.0, (0.5, 3.0), 60.0)
    for engine in ("onnx.fp32", "onnx.int8"):
        assert users(row(cpu, f"{engine}.generate.ramp.c5.p7.o100")) == Users("generate", False, 0.1, (0.0, 0.0), 150.0)
    assert users(row(gpu, "serve.fp16.users.whole.c100.p32.o100")).stream is False
    assert users(row(gpu, "serve.fp16.chat.users.c100.p32.o100")).api == "chat"


def test_a_service_is_a_server_over_its_engine() -> None:
    group = row(load_matrix(SCENARIOS / "load-cpu.toml"), "onnx.fp32.generate.batch8.users.c50.p7.o20").group
    assert group.id == "qwen2.5-0.5b-instruct.onnx.fp32.generate.batch8"
    assert group.serves
    assert group.is_service
    assert group.loader == "onnx"
    assert group.settings["service"]["batch"] == 8
    served = row(load_matrix(SCENARIOS / "load-gpu.toml"), "serve.fp16.users.c100.p32.o100").group
    assert served.serves
    assert not served.is_service
    assert served.loader == "vllm"


@pytest.mark.parametrize("file", sorted(path.name for path in SCENARIOS.glob("load-*.toml")))
def test_rows_of_users_gate_what_they_have(file: str) -> None:
    known = {metric.name for metric in SERVING_METRICS}
    for scenario in load_matrix(SCENARIOS / file).scenarios:
        assert scenario.gated == ("request_throughput", "e2el")
        assert set(scenario.gated) <= known
        assert users(scenario).seconds > 0


def test_a_quick_profile_brings_the_same_users_sooner() -> None:
    """As many come, in a tenth of the time, and stay for a tenth of it: sessions of a profile compare with its own."""
    matrix = load_matrix(SCENARIOS / "load-cpu.toml")
    quick = row(matrix, "onnx.fp32.generate.ramp.c5.p7.o100", "quick")
    assert (users(quick).spawn_per_s, users(quick).seconds) == (1.0, 15.0)
    assert quick.id == row(matrix, "onnx.fp32.generate.ramp.c5.p7.o100").id
    assert quick.batch == 5


def test_a_plan_keeps_its_users(tmp_path: Path) -> None:
    import dataclasses
    import json

    planned = row(load_matrix(SCENARIOS / "load-cpu.toml"), "onnx.fp32.generate.ramp.c5.p7.o100").plan_row
    assert PlanRow.of(json.loads(json.dumps(dataclasses.asdict(planned)))) == planned


def written(tmp_path: Path, group: str, profile: str = "") -> Path:
    (tmp_path / "variants.toml").write_text((SCENARIOS / "variants.toml").read_text())
    path = tmp_path / "matrix.toml"
    path.write_text(
        f'device = "cpu"\nmodel = "tiny"\n[profiles.nightly]\nlaunches = 1\nrounds = 1\n{profile}\n[[group]]\n{group}'
    )
    return path


def group(engine: str, precision: str, row: str, *variants: str) -> str:
    return f'engine = "{engine}"\nprecisions = ["{precision}"]\nvariants = {list(variants)}\nrows = ["{row}"]'


@pytest.mark.parametrize(
    ("group", "profile", "words"),
    [
        (group("onnx", "int8", "c5x7->9", "batch8", "users"), "", "one factor"),
        (group("onnx", "fp32", "c5x7->9", "generate"), "", "measured by users"),
        (group("onnx", "fp32", "5x7->9", "generate", "users"), "", "'c concurrency"),
        (group("onnx", "fp32", "c5x7->9", "generate", "chat"), "", "engine serve"),
        (group("serve", "fp16", "c5x7->9", "users"), "time_scale = 0", "above 0"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(tmp_path: Path, group: str, profile: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_matrix(written(tmp_path, group, profile))
