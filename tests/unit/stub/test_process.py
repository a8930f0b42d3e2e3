"""The command in a process of its own."""

from __future__ import annotations

import json
import os
import urllib.request

import pytest

from tokgate.cli import main
from tokgate.errors import MeasurementError
from tokgate.stub.process import running

pytestmark = pytest.mark.unit


def test_help_says_which_tokenizer_to_measure_it_with(capsys):
    """It lists the model `stub`, and there is no tokenizer of that name."""
    with pytest.raises(SystemExit):
        main(["stub-server", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Give `tokgate bench serve` one: --tokenizer DIR" in said
    assert "--skip-tokenizer-init" in said


def test_it_prints_its_url_does_as_told_and_ends_with_the_block():
    cpu = min(os.sched_getaffinity(0))
    with running(
        "--ttft-ms", "7", "--cpu", str(cpu), "--fault", "3-7:429:10000", "--itl-jitter", "uniform:0.5"
    ) as stub:
        told = json.load(urllib.request.urlopen(f"{stub.url}/truth"))
    assert (told["pid"], told["cpus"]) == (stub.pid, [cpu])
    assert told["settings"]["pace"]["ttft_s"] == pytest.approx(0.007)
    assert told["settings"]["pace"]["itl_jitter"] == {"shape": "uniform", "share": 0.5}
    with pytest.raises(ProcessLookupError):
        os.kill(stub.pid, 0)


def test_one_that_cannot_start_says_why():
    with (
        pytest.raises(MeasurementError, match=r"did not start \(status 2\).*is no kind of fault"),
        running("--fault", "0:nonsense"),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--itl-ms", "-1"], "--itl-ms -1: it must be at least 0"),
        (["--itl-ms", "nan"], "--itl-ms nan: it must be at least 0"),
        (["--tokens-per-message", "0"], "--tokens-per-message 0: it must be at least 1"),
        (["--fault", "0:nonsense"], "'nonsense' is no kind of fault"),
        (["--cpu", "99999"], "CPU 99999 is not among those this process may use"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1:0"),
    ],
)
def test_bad_options_are_status_2_with_what_to_do(options, complaint, capsys):
    assert main(["stub-server", "--port", "0", *options]) == 2
    assert complaint in capsys.readouterr().err
