"""The file of a sweep: what is refused, and that what the repository holds is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sweep.examples import FILE, written
from tokgate.errors import InputError
from tokgate.matrices import SCENARIOS_DIR
from tokgate.sweep.candidates import open_candidates
from tokgate.sweep.file import read_sweep

pytestmark = pytest.mark.unit

SWEEPS = SCENARIOS_DIR / "sweeps"


def test_a_file_is_its_settings_in_order(tmp_path: Path) -> None:
    sweep = read_sweep(written(tmp_path))
    assert sweep.name == "tiny-sweep"
    assert [dict(choice) for choice in sweep.choices] == [
        {"precision": "fp32", "threads": threads, "batch": batch} for threads in (1, 2) for batch in (1, 4)
    ]
    assert sweep.objective.name == "output_throughput"


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("launches = 3", "launchs = 3", "unknown key 'launchs'; did you mean 'launches'?"),
        ("launches = 3", "launches = 1", "expected 2 launches or more"),
        ("threads = [1, 2]\nbatch = [1, 4]", "threads = [1]", "1 settings; expected 2 to 100: a ranking needs two"),
        ("threads = [1, 2]", "threads = []", "grid 1: threads = [] has no value"),
        ("[[grid]]\nthreads = [1, 2]\nbatch = [1, 4]", "grid = []", "no [[grid]]"),
        ("threads = [1, 2]", f"threads = {list(range(1, 60))}", "118 settings; expected 2 to 100"),
        ("batch", "concurrency", "with engine onnx its name is batch"),
        ("batch = [1, 4]", "batch = [0, 4]", "batch holds 0; expected whole numbers from 1 up"),
        ("threads", "max-threads", "did you mean 'max_threads'?"),
        ("threads = [1, 2]", "threads = [1, -1]", "grid 1: threads = -1; expected a whole number from 1 up"),
        ("threads = [1, 2]", "threads = [1, 'x']", "grid 1: threads = 'x'; expected a whole number from 1 up"),
        ("threads = [1, 2]", "allow_spinning = ['false']", "allow_spinning = 'false'; expected true or false"),
        ('engine = "onnx"\nprecision', 'engine = "vllm"\nsettings = { gpu_memory_utilization = 1.5 }\nprecision',
         "settings: gpu_memory_utilization = 1.5; expected a number above 0 and up to 1"),
        ("threads = [1, 2]", "threads = [1979-05-27]", "threads holds datetime.date"),
        ("threads = [1, 2]", "service = [{ queue = 1 }]", "service is not swept"),
        ("rounds = 1", "rounds = 1\nobjective = 'goodpt'",
         "objective: unknown metric of engine onnx 'goodpt': known are output"),
        ('engine = "onnx"', 'engine = "onyx"', "Invalid enum value 'onyx'"),
        ('precision = "fp32"', "", "no precision"),
        ("[[grid]]", "[settings]\nthreads = 1\n[[grid]]", "threads stands in [settings] too"),
        ("[[grid]]", "[[constraint]]\nmetric = 'ttft'\n[[grid]]", "constraint 1: expected one of min and max"),
        ("[[grid]]", "[[constraint]]\nmetric = 'ttft'\nmax = 1\nunit = 'W'\n[[grid]]", "ttft in 'W'; expected 's'"),
        ("[[grid]]", "[[constraint]]\nmetric = 'p99_ttft'\nmax = 1\n[[grid]]",
         "constraint 1: unknown metric of engine onnx 'p99_ttft': did you mean 'ttft'? known are output_throughput, "
         "ttft, tpot, e2el, cpu_time_per_token, peak_memory, peak_gpu_memory, energy_per_token; p99_ttft is of engine "
         "serve"),
        ("threads = [1, 2]", "bogus = [1, 2]",
         "grid 1: unknown setting of engine onnx 'bogus': known are allow_spinning, environment, threads"),
        ("[[grid]]", "[settings]\nthread = 1\n[[grid]]",
         "settings: unknown setting of engine onnx 'thread': did you mean 'threads'?"),
        ("[[grid]]", "[[constraint]]\nmetric = 'ttft'\nmax = -1\n[[grid]]", "max is -1; expected a number above 0"),
        ("[[grid]]", "[[grid", "not TOML"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(tmp_path: Path, was: str, now: str, said: str) -> None:
    assert was in FILE
    path = written(tmp_path, FILE.replace(was, now))
    with pytest.raises(InputError) as error:
        read_sweep(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_constraint_may_be_in_milliseconds(tmp_path: Path) -> None:
    text = FILE.replace("[[grid]]", "[[constraint]]\nmetric = 'ttft'\nmax = 50\nunit = 'ms'\n[[grid]]")
    (constraint,) = read_sweep(written(tmp_path, text)).constraints
    assert constraint.limit == pytest.approx(0.050)
    assert str(constraint) == "ttft <= 50 ms"


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.toml")), ids=lambda path: path.name)
def test_every_sweep_of_the_repository_is_understood(path: Path) -> None:
    """With dummy weights, whose shapes are here; each setting is a row that a matrix may hold."""
    opened = open_candidates(read_sweep(path), "dummy")
    assert len({each.scenario.id for each in opened.candidates}) == len(opened.candidates) >= 2


def test_the_guides_limits_hold_for_the_t4() -> None:
    told = {str(each) for each in read_sweep(SWEEPS / "t4-serving.toml").constraints}
    assert told == {"p99_tpot <= 50 ms", "p99_ttft <= 2000 ms", "success_rate >= 100 %"}
