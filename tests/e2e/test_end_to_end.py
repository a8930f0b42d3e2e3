"""The whole flow for real, on a model that is quick: export, measure, accept, judge. `make e2e` runs it.

Cores are shared where this runs, so the live timings must be valid, not green; what is judged is derived from
them with seeded noise.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from flow import ROOT, TRIES, check_nights, measure, run, tokgate

from tokgate import session as sessions
from tokgate.matrix_file import load_matrix
from tokgate.session import Session

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Session:
    """A session measured by `pytest -m cpu` itself: tiny model, every row of the matrix that fits."""
    found = measure("cpu", tmp_path_factory.mktemp("run"), cache=cache)
    assert sessions.read(found.folder / "benchmark.json").rows == found.session.rows
    assert 'name="output_throughput_tok_s"' in (found.folder / "junit.xml").read_text()
    return found.session


def test_every_row_has_valid_samples(measured: Session) -> None:
    """Each scenario that fits this machine has its planned launches and rounds, in every metric."""
    matrix = load_matrix(ROOT / "scenarios" / "cpu.toml").with_models(
        lambda shape: "tiny-dummy" if shape.startswith("qwen") else f"{shape}-dummy"
    )
    profile = matrix.profile("smoke")
    expected = {row.id for row in matrix.rows("smoke") if row.group.shape.startswith("qwen")}
    found = {row.scenario for row in measured.rows}
    assert expected <= found
    for row in measured.rows:
        assert [len(launch) for launch in row.launches] == [profile.rounds] * profile.launches, row.key


def test_every_group_is_as_accurate_as_it_must_be(measured: Session) -> None:
    """Each group's logits were compared with the FP32 reference, and FP32 through ONNX is the same model."""
    by_group = {accuracy.group: accuracy for accuracy in measured.accuracy}
    assert set(by_group) == {row.group for row in measured.rows}
    assert by_group["tiny-dummy.onnx.fp32"].max_logit_diff < 1e-3


def test_a_same_night_passes_and_a_slower_one_fails(measured: Session, tmp_path: Path) -> None:
    check_nights(measured, tmp_path)


def test_an_environment_measured_against_itself_is_paired_in_every_row(tmp_path: Path, cache: Path) -> None:
    """`tokgate ab` with one interpreter on both sides: it measures, judges by pairs, and says that it was A/A."""
    arguments = [
        "ab", "--reference", sys.executable, "--model=tiny", "--profile=smoke", "--pairs=6",
        "-k", "onnx.int8.b1.p5.o50", "--cache", cache,
    ]  # fmt: skip
    for attempt in range(TRIES):
        done = run(*arguments, "--sessions", tmp_path / str(attempt))
        (path,) = (tmp_path / str(attempt)).glob("*.json")
        session = sessions.read(path)
        if session.valid:
            assert done.returncode in (0, 1), "no regression is shown, or by bad luck one is"
            assert "an A/A run" in done.stdout
            assert all(len(row.pairs or []) >= 5 for row in session.rows)
            assert tokgate("judge", path) == done.returncode, "a stored session tells the same"
            return
        assert all("usable" in reason for reason in session.reasons), session.reasons
    pytest.fail(f"no valid session in {TRIES} tries; the last: {session.reasons}")
