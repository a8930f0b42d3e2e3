"""tools/vllm_bundle.sh: what it refuses, and what it tells, without a network and without pip."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

RUNS = ("bash", "xz", "split")
pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not all(map(shutil.which, RUNS)), reason="tools/vllm_bundle.sh runs bash, xz and split"),
]

SCRIPT = Path(__file__).parents[2] / "tools" / "vllm_bundle.sh"
ATTENTION = "vllm/vllm_flash_attn"
# Makes a "venv" whose python is this file again; its pip plans torch and vLLM, and installs the folder $WHEELS.
PYTHON = f"""#!/bin/bash
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *--report*) while [[ $1 != --report ]]; do shift; done; cp "$PLAN" "$2" ;;
  *--target*) while [[ $1 != --target ]]; do shift; done; cp -r "$WHEELS" "$2" ;;
  *" pip "*) ;;
  *) exec {sys.executable} "$@" ;;
esac
"""
PLAN = """{"install": [{"metadata": {"name": "torch", "version": "2.11.0"}},
                        {"metadata": {"name": "vllm", "version": "0.26.0"}}]}"""


@pytest.fixture
def host_list(tmp_path: Path) -> Path:
    path = tmp_path / "host.txt"
    path.write_text("torch==2.11.0+cu130\n")
    return path


def bundle(*args: str | Path, **environ: str | Path) -> subprocess.CompletedProcess[str]:
    told = {name: str(value) for name, value in environ.items()}
    return subprocess.run(
        ["bash", SCRIPT, *args], capture_output=True, text=True, env={**os.environ, **told}, timeout=60, check=False
    )


@pytest.mark.parametrize("count", [0, 1, 2])
def test_with_too_few_arguments_it_says_how_it_is_used(tmp_path: Path, count: int) -> None:
    done = bundle(*[tmp_path / "out", "hopper"][:count])
    assert done.returncode == 2
    assert "tools/vllm_bundle.sh OUT_DIR ARCH HOST_LIST [PYTHON]" in done.stderr
    assert "set -euo" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arch", ["volta", "Hopper", ""])
def test_an_unknown_architecture_is_refused_with_those_it_knows(tmp_path: Path, host_list: Path, arch: str) -> None:
    done = bundle(tmp_path / "out", arch, host_list, sys.executable)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"unknown ARCH '{arch}'; expected hopper, ampere, ada or turing\n"
    assert not (tmp_path / "out").exists()


def test_a_list_that_is_not_there_is_refused_with_how_to_make_it(tmp_path: Path) -> None:
    done = bundle(tmp_path / "out", "turing", tmp_path / "none.txt", sys.executable)
    assert done.returncode == 2
    assert f"{tmp_path / 'none.txt'} cannot be read; make it on the host: python3 -m pip list" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_python_is_refused(tmp_path: Path, host_list: Path) -> None:
    done = bundle(tmp_path / "out", "ada", host_list, "python3.0")
    assert (done.returncode, done.stderr) == (2, "no python3.0 here; expected a CPython of the host's minor version\n")
    assert not (tmp_path / "out").exists()


def test_requirements_that_are_not_there_are_refused(tmp_path: Path, host_list: Path) -> None:
    done = bundle(tmp_path / "out", "ada", host_list, sys.executable, REQUIREMENTS=tmp_path / "none.txt")
    assert done.returncode == 2
    assert f"{tmp_path / 'none.txt'} cannot be read; expected a file as requirements-gpu.txt" in done.stderr


@pytest.fixture
def fake(tmp_path: Path) -> dict[str, Path]:
    """The variables and the python of a bundle of nothing but a vLLM whose files tests make."""
    (tmp_path / "plan.json").write_text(PLAN)
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    (tmp_path / "wheels" / ATTENTION).mkdir(parents=True)
    return {"PLAN": tmp_path / "plan.json", "WHEELS": tmp_path / "wheels", "python": python}


def bundle_of(fake: dict[str, Path], arch: str, host_list: Path, *libraries: str) -> subprocess.CompletedProcess[str]:
    """Into "out" beside the list, of a vLLM with these libraries of attention."""
    for name in libraries:
        (fake["WHEELS"] / ATTENTION / name).write_text("")
    variables = {name: path for name, path in fake.items() if name.isupper()}
    return bundle(host_list.with_name("out"), arch, host_list, fake["python"], **variables)


def bundled(out: Path) -> set[str]:
    with tarfile.open(fileobj=lzma.open(out / "bundle.00")) as archive:
        return {Path(name).name for name in archive.getnames() if name.endswith(".so")}


def test_a_gpu_is_spared_the_kernels_that_it_has_no_use_for(
    tmp_path: Path, host_list: Path, fake: dict[str, Path]
) -> None:
    done = bundle_of(fake, "ampere", host_list, "_vllm_fa2_C.abi3.so", "_vllm_fa3_C.abi3.so")
    assert (done.returncode, done.stderr) == (0, "")
    assert bundled(tmp_path / "out") == {"_vllm_fa2_C.abi3.so"}


def test_a_version_that_names_its_kernels_otherwise_is_told_of(
    tmp_path: Path, host_list: Path, fake: dict[str, Path]
) -> None:
    done = bundle_of(fake, "turing", host_list, "_vllm_fa2_C.abi3.so", "_fa3.abi3.so")
    assert done.returncode == 0
    assert done.stderr == (
        f"warning: this vLLM has no {ATTENTION}/_vllm_fa3_C.abi3.so: nothing was left out for ARCH turing there, and "
        f"the bundle is larger; its libraries: {ATTENTION}/_fa3.abi3.so\n"
    )
    assert bundled(tmp_path / "out") == {"_fa3.abi3.so"}


def test_a_bundle_without_vllm_has_nothing_to_tell(tmp_path: Path, host_list: Path, fake: dict[str, Path]) -> None:
    """A host may have it, and lack the rest."""
    host_list.write_text("torch==2.11.0\nvllm==0.26.0\n")
    shutil.rmtree(fake["WHEELS"] / "vllm")
    done = bundle_of(fake, "turing", host_list)
    assert (done.returncode, done.stderr) == (0, "")
