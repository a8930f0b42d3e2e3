"""Which folders `-m MARKER` reads: what is not read is not measured, and nobody is told."""

from __future__ import annotations

import pytest
from runs import ROOT

pytestmark = pytest.mark.unit

INI = """
[pytest]
markers =
    cpu: one
    gpu: other
    sweep(file): across
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Tests in folders named as their marker, in one that is not, and in none."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini(INI)
    for place, marker in (("cpu", "cpu"), ("gpu", "gpu"), ("edge", "cpu"), (".", "cpu"), ("gpu", "sweep")):
        folder = pytester.path / "tests" / place
        folder.mkdir(parents=True, exist_ok=True)
        name = f"test_{marker}_in_{place.strip('.') or 'none'}"
        (folder / f"{name}.py").write_text(
            f"import pytest\n@pytest.mark.{marker}\ndef {name}(): pass\nprint('read {name}')\n"
        )
    return pytester


def collected(project: pytest.Pytester, marker: str) -> tuple[set[str], set[str]]:
    """Files that were read, and tests that were chosen."""
    done = project.runpytest_subprocess("-p", "tokgate.plugin", "-m", marker, "--collect-only", "-q", "-s")
    lines = done.outlines
    read = {line.removeprefix("read ") for line in lines if line.startswith("read ")}
    return read, {line.split("::")[1] for line in lines if "::" in line}


def test_tests_of_a_marker_are_found_in_its_folder_and_wherever_no_other_marker_is_meant(
    project: pytest.Pytester,
) -> None:
    read, chosen = collected(project, "cpu")
    assert chosen == {"test_cpu_in_cpu", "test_cpu_in_edge", "test_cpu_in_none"}
    assert read == chosen, "what the other folder imports may not be here"


@pytest.mark.parametrize(("expression", "chosen"), [("sweep", {"test_sweep_in_gpu"}), ("gpu or sweep", None)])
def test_a_marker_without_a_folder_is_looked_for_in_all(
    project: pytest.Pytester, expression: str, chosen: set[str] | None
) -> None:
    read, found = collected(project, expression)
    assert len(read) == 5
    assert found == (chosen or {"test_sweep_in_gpu", "test_gpu_in_gpu"})
