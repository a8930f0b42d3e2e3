from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving.examples import RESULT
from tests.unit.serving.runs import failure, requests_of, run, success
from tokgate.serving.arrivals import Ramp
from tokgate.serving.load import LoadResult
from tokgate.serving.measures import measure
from tokgate.serving.record import Failure
from tokgate.serving.result_file import file_name, to_json, write
from tokgate.serving.setting import Setting
from tokgate.serving.speculation import Speculation
from tokgate.serving.vllm_file import is_vllm_file, parse
from tokgate.serving.vllm_result import faults, notes

pytestmark = pytest.mark.unit

WHEN = datetime(2026, 11, 21, 3, 0, 10)
SETTING = Setting(
    backend="openai", model="Qwen/Qwen2.5-0.5B", tokenizer="Qwen/Qwen2.5-0.5B", max_concurrency=2,
    metrics=("ttft", "tpot", "itl", "e2el"), percentiles=(50, 90, 99),
)  # fmt: skip
GOOD = run(success(0, 0.0, 0.4, 0.6, 1.0), success(1, 0.1, 0.3, 1.3))
BAD = run(*GOOD.records, failure(2, Failure.STREAM_ERROR, "out of memory", 0.5))


def data(
    result: LoadResult = GOOD,
    detailed: bool = False,
    fault: str | None = None,
    speculation: Speculation | None = None,
    **changes: Any,
) -> dict[str, Any]:
    setting = replace(SETTING, **changes)
    requests = requests_of(result)
    found = to_json(setting, measure(result, requests), result, requests, WHEN, fault, detailed, speculation)
    return json.loads(json.dumps(found, allow_nan=False))


def test_every_key_of_vllm_is_there_and_none_of_ours_beside_them() -> None:
    extra = set(data()) - set(RESULT)
    assert set(RESULT) <= set(data())
    # vllm bench serve leaves these two lists in, whatever is asked.
    assert extra == {"latencies", "queue_times", "tokgate"}


def test_of_a_server_that_speculates_vllms_keys_are_there_too() -> None:
    told = Speculation(drafts=40, draft_tokens=80, accepted_tokens=30, accepted_at=(20, 10))
    found = data(speculation=told)
    assert {key: found.pop(key) for key in told.as_json()} == told.as_json()
    assert found == data()
    assert [key for key in data() if key.startswith("spec_decode")] == []


def test_details_are_lists_of_one_entry_a_request() -> None:
    details = set(data(BAD, detailed=True)) - set(data(BAD))
    assert details == {"input_lens", "output_lens", "ttfts", "itls", "start_times", "generated_texts", "errors"}
    found = data(BAD, detailed=True)
    assert found["errors"] == ["", "", "error inside the stream: out of memory"]
    assert found["output_lens"] == [3, 2, 0]
    assert found["input_lens"] == [5, 5, 4]
    assert found["ttfts"] == pytest.approx([0.4, 0.2, 0.5])
    assert found["generated_texts"] == ["text 0", "text 1", ""]
    assert found["tokgate"]["failure_kinds"] == [None, None, "error inside the stream"]
    assert [len(found[key]) for key in details] == [3] * len(details)


def test_our_own_reader_believes_it() -> None:
    assert is_vllm_file(data())
    for detailed in (False, True):
        file = parse(data(detailed=detailed), "x.json")
        assert faults(file) == notes(file) == []
        assert file.latencies_ms["p99_ttft"] == pytest.approx(398)


def test_our_own_reader_sees_failures() -> None:
    assert "1 of 3 requests failed" in faults(parse(data(BAD), "x.json"))[0]
    every = run(failure(0, Failure.REFUSED), failure(1, Failure.REFUSED))
    assert "2 of 2 requests failed" in faults(parse(data(every, detailed=True), "x.json"))[0]


def test_what_was_not_measured_is_null_and_not_0() -> None:
    found = data(run(success(0, 0.0, 0.4)))
    assert found["mean_tpot_ms"] is None
    assert found["p99_itl_ms"] is None
    assert found["mean_ttft_ms"] == pytest.approx(400)


def test_only_the_asked_latencies_are_there() -> None:
    found = data(metrics=("ttft", "client_queue_time", "e2el_including_client_queue"), percentiles=(99.0, 99.9))
    names = {key for key in found if key.endswith("_ms")}
    assert names == {
        f"{kind}_{metric}_ms"
        for kind in ("mean", "median", "std", "p99", "p99.9")
        for metric in ("ttft", "client_queue_time")
    }
    paced = data(metrics=("e2el_including_client_queue",), request_rate=3.0)
    assert paced["median_e2el_including_client_queue_ms"] == pytest.approx(1100)
    uncapped = data(metrics=("client_queue_time",), max_concurrency=None)
    assert "mean_client_queue_time_ms" not in uncapped


def test_tokgates_own_says_whether_to_believe_it() -> None:
    own = data(BAD, fault="its loop was 90 ms late")["tokgate"]
    assert own["valid"] is False
    assert own["failures"] == {"error inside the stream": 1}
    assert own["client_fault"] == "its loop was 90 ms late"
    assert own["client"]["cpu_share"] == 0.1
    assert data()["tokgate"]["valid"] is True


def test_latencies_from_the_schedule_stand_beside_the_usual_ones() -> None:
    late = run(success(0, 2.0, 2.4, 3.0, due_s=100.5))
    assert data(late, request_rate=1.0)["tokgate"]["ttft_from_due_ms"]["mean"] == pytest.approx(1900)
    assert "ttft_from_due_ms" not in data(late)["tokgate"]


def test_metadata_are_keys_that_replace_no_measured_one() -> None:
    found = data(metadata={"tp": "1", "completed": "9"})
    assert (found["tp"], found["completed"]) == ("1", 2)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "openai-infqps-concurrency2-Qwen2.5-0.5B-20261121-030010.json"),
        ({"label": "t4", "max_concurrency": None}, "t4-infqps-Qwen2.5-0.5B-20261121-030010.json"),
        ({"request_rate": 4.0}, "openai-4.0qps-concurrency2-Qwen2.5-0.5B-20261121-030010.json"),
        (
            {"ramp": Ramp("linear", 1, 9)},
            "openai-ramp-up-linear-1qps-9qps-concurrency2-Qwen2.5-0.5B-20261121-030010.json",
        ),
    ],
)
def test_the_file_is_named_as_vllm_names_it(changes: dict[str, Any], name: str) -> None:
    assert file_name(replace(SETTING, **changes), WHEN) == name


def test_an_infinite_rate_is_the_text_inf() -> None:
    assert data()["request_rate"] == "inf"
    assert data(request_rate=2.5)["request_rate"] == 2.5


def test_an_infinite_burstiness_is_the_text_inf_and_a_file_of_either_is_read() -> None:
    found = data(request_rate=2.5, burstiness=math.inf)
    assert found["burstiness"] == "inf"
    assert data(burstiness=0.5)["burstiness"] == 0.5
    for burstiness in ("inf", math.inf):
        file = parse({**found, "burstiness": burstiness}, "x.json")
        assert faults(file) == []
        assert file.pacing == "--request-rate 2.5"


def test_a_ramp_tells_when_each_rate_was_reached() -> None:
    result = run(*(success(number, number / 2, number / 2 + 0.1) for number in range(5)), duration_s=5.0)
    found = data(result, ramp=Ramp("linear", 1, 3))
    assert {key: found[key] for key in found if key.startswith("ramp_up")} == {
        "ramp_up_strategy": "linear", "ramp_up_start_rps": 1, "ramp_up_end_rps": 3,
    }  # fmt: skip
    began = "2026-11-21T03:00:05"
    assert found["rps_change_events"] == [
        {"rps": 1, "timestamp": began},
        {"rps": 2, "timestamp": "2026-11-21T03:00:06"},
        {"rps": 3, "timestamp": "2026-11-21T03:00:07"},
    ]


def test_a_file_is_replaced_whole_or_added_to(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.json"
    write({"a": 1}, path)
    write({"a": 2}, path)
    assert path.read_text() == '{"a": 2}'
    write({"a": math.pi}, path, append=True)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": 2}, {"a": math.pi}]
    assert [each.name for each in path.parent.iterdir()] == ["r.json"]
