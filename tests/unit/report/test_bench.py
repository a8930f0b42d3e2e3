from __future__ import annotations

import io
from dataclasses import replace

import pytest

from tests.unit.serving.runs import HEALTH, failure, requests_of, run, success
from tokgate.report.bench import notes, open_progress, progress_text, table
from tokgate.serving.arrivals import Ramp
from tokgate.serving.client import LoadProgress
from tokgate.serving.load import LoadResult
from tokgate.serving.measures import measure
from tokgate.serving.record import Failure
from tokgate.serving.setting import Setting
from tokgate.serving.speculation import Speculation

pytestmark = pytest.mark.unit

SETTING = Setting("openai", "m", None, max_concurrency=50)
GOOD = run(success(0, 0.0, 0.4, 0.6, 1.0), success(1, 0.1, 0.3, 1.3))
BAD = run(*GOOD.records, failure(2, Failure.RESET, "by peer"), failure(3, Failure.RESET))


def lines(
    result: LoadResult = GOOD, setting: Setting = SETTING, fault: str | None = None, **goodput: float
) -> list[str]:
    return table(setting, measure(result, requests_of(result), goodput or None), HEALTH, fault)


def value(found: list[str], label: str) -> str:
    (line,) = [line for line in found if line.startswith(label)]
    return line.removeprefix(label).strip()


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Successful requests:", "2"),
        ("Failed requests:", "0"),
        ("Maximum request concurrency:", "50"),
        ("Benchmark duration (s):", "10.00"),
        ("Total input tokens:", "10"),
        ("Total generated tokens:", "5"),
        ("Request throughput (req/s):", "0.20"),
        ("Output token throughput (tok/s):", "0.50"),
        ("Peak output token throughput (tok/s):", "3.00"),
        ("Peak concurrent requests:", "2"),
        ("Total token throughput (tok/s):", "1.50"),
        ("Mean TTFT (ms):", "300.00"),
        ("Median TPOT (ms):", "650.00"),
        ("P99 ITL (ms):", "988.00"),
    ],
)
def test_labels_are_vllms_and_values_stand_in_its_column(label: str, expected: str) -> None:
    found = lines()
    assert value(found, label) == expected
    assert f"{label:<40} {expected}" in found


def test_what_was_not_asked_for_is_not_there() -> None:
    text = "\n".join(lines())
    assert "goodput" not in text
    assert "E2EL" not in text
    assert "RPS" not in text
    assert "schedule lag" not in text
    paced = replace(SETTING, request_rate=4.0, max_concurrency=None, metrics=("e2el",))
    found = lines(setting=paced, ttft=1000.0)
    assert value(found, "Request goodput (req/s):") == "0.20"
    assert value(found, "Request rate configured (RPS):") == "4.00"
    assert value(found, "Mean E2EL (ms):") == "1100.00"
    assert value(found, "P99 client schedule lag (ms):") == "0.00"
    assert "Maximum request concurrency:" not in "\n".join(found)


def test_an_open_loop_is_told_from_when_requests_were_due() -> None:
    """Under whatever was asked for: the second waited 1.5 s for a slot, of which its TTFT has nothing."""
    waited = run(success(0, 0.0, 0.4, 1.0), success(1, 2.0, 2.4, 3.0, due_s=100.5))
    found = lines(waited, replace(SETTING, request_rate=2.0, max_concurrency=1), ttft=500.0)
    assert value(found, "P99 TTFT (ms):") == "400.00"
    first = found.index(f"{'From When Requests Were Due':-^50}")
    assert found[first + 1 : first + 7] == [
        "Mean TTFT from due (ms):                 1150.00",
        "P99 TTFT from due (ms):                  1885.00",
        "Mean E2EL from due (ms):                 1750.00",
        "P99 E2EL from due (ms):                  2485.00",
        "Request goodput from due (req/s):        0.10",
        f"{'Validity':-^50}",
    ]
    assert value(found, "Request goodput (req/s):") == "0.20"


@pytest.mark.parametrize("goodput", [{}, {"ttft": 2000.0}])
def test_goodput_from_due_is_told_where_it_is_lower(goodput: dict[str, float]) -> None:
    ramped = replace(SETTING, ramp=Ramp("linear", 1, 3))
    text = "\n".join(lines(run(success(0, 2.0, 2.4, 3.0, due_s=100.5)), ramped, **goodput))
    assert "P99 TTFT from due (ms):                  1900.00" in text
    assert "goodput from due" not in text


def test_without_a_schedule_nothing_was_due() -> None:
    assert "due" not in "\n".join(lines(ttft=100.0)).lower()


def test_where_nothing_succeeded_nothing_from_due_was_measured() -> None:
    found = lines(run(failure(0, Failure.REFUSED)), replace(SETTING, request_rate=2.0), ttft=1.0)
    assert value(found, "P99 E2EL from due (ms):") == "not measured"


def test_speculation_stands_where_vllm_has_it_and_as_vllm_prints_it() -> None:
    told = Speculation(drafts=40, draft_tokens=80, accepted_tokens=30, accepted_at=(20, 10))
    found = table(SETTING, measure(GOOD, requests_of(GOOD)), HEALTH, None, told)
    first = found.index("---------------Speculative Decoding---------------")
    assert found[first + 1 : first + 10] == [
        "Acceptance rate (%):                     37.50",
        "Acceptance length:                       1.75",
        "Drafts:                                  40",
        "Draft tokens:                            80",
        "Accepted tokens:                         30",
        "Per-position acceptance (%):",
        "  Position 0:                            50.00",
        "  Position 1:                            25.00",
        f"{'Validity':-^50}",
    ]
    assert "Speculative" not in "\n".join(lines())


def test_failures_are_listed_by_kind_with_the_first() -> None:
    found = lines(BAD)
    assert value(found, "Success rate (%):") == "50.00"
    assert value(found, "  connection lost:") == "2"
    assert "    first: by peer" in found


def test_what_was_not_measured_is_no_0() -> None:
    found = lines(run(failure(0, Failure.REFUSED)))
    assert value(found, "Mean TTFT (ms):") == "not measured"
    assert value(found, "P99 TPOT (ms):") == "not measured"


def test_the_client_says_whether_it_kept_up() -> None:
    assert value(lines(), "Client:") == "kept up"
    slow = lines(fault="the client used 99% of a core")
    assert value(slow, "Client:") == "TOO SLOW"
    assert "    the client used 99% of a core" in slow


def test_prompts_of_another_length_than_planned_are_noted() -> None:
    assert list(notes(requests_of(GOOD), GOOD, counted=False)) == []
    (note,) = notes(requests_of(GOOD), GOOD, counted=True)
    assert "in 2 of 2 requests (first: 5 for 4 tokens)" in note
    as_planned = run(success(0, 0.0, 0.4, prompt_tokens=4), success(1, 0.0, 0.4, prompt_tokens=None))
    assert list(notes(requests_of(as_planned), as_planned, counted=True)) == []


def test_the_live_line_says_what_is_done_and_left() -> None:
    now = LoadProgress(done=120, failed=3, running=50, total=200, output_tokens=93_600, elapsed_s=30.0)
    assert progress_text(now) == "120/200 done, 3 failed, 50 running, 3,120 tok/s, 0:20 left"
    begun = LoadProgress(done=0, failed=0, running=50, total=200, output_tokens=0, elapsed_s=0.0)
    assert progress_text(begun) == "0/200 done, 50 running"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_sees_it_and_keeps_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with open_progress(quiet=False) as show:
        assert show is not None
        show(LoadProgress(done=1, failed=0, running=1, total=2, output_tokens=9, elapsed_s=1.0))
    assert "1/2 done, 1 running, 9 tok/s, 0:01 left" in terminal.getvalue()
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize(("stream", "quiet"), [(io.StringIO(), False), (Terminal(), True)])
def test_a_log_sees_nothing_of_it(stream: io.StringIO, quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    with open_progress(quiet) as show:
        assert show is None
    assert not stream.getvalue()
