from __future__ import annotations

import pytest

from serving.examples import SCENARIO, detailed, result
from tokgate.errors import InputError
from tokgate.serving.vllm_file import parse
from tokgate.serving.workload import fitting, model_notes, named, parse_workloads, work_faults

pytestmark = pytest.mark.unit

EAGER = "qwen2.5-0.5b.serve.fp16.eager.ngram.c50.p512.o512"


def workloads(*scenarios, num_prompts=200):
    tables = [{"scenario": name, "num_prompts": num_prompts, "source": "a guide"} for name in scenarios]
    return parse_workloads({"workload": tables}, "limits.toml")


def file(**changes):
    return parse(result(**changes), "run.json")


def fit(found, *scenarios):
    return fitting(found, workloads(*scenarios), "run.json").scenario


def test_an_id_says_what_the_row_is():
    plain, eager = workloads(SCENARIO, EAGER)
    assert (plain.model, plain.variants, plain.concurrency) == ("qwen2.5-0.5b", (), 50)
    assert (plain.prompt_len, plain.output_len, plain.num_prompts) == (512, 512, 200)
    assert eager.variants == ("eager", "ngram")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"scenario": "qwen2.5-0.5b.onnx.int8.b8.p5.o50"}, "MODEL.serve.PRECISION"),
        ({"scenario": "../x"}, "scenario"),
        ({"num_prompts": 0}, "num_prompts"),
        ({"num_prompts": True}, "num_prompts"),
        ({"source": " "}, "source"),
        ({"num_promts": 200}, "did you mean 'num_prompts'"),
    ],
)
def test_a_faulty_workload_is_refused_by_name(table, message):
    whole = {"scenario": SCENARIO, "num_prompts": 200, "source": "a guide", **table}
    with pytest.raises(InputError, match=message):
        parse_workloads({"workload": [whole]}, "limits.toml")


def test_a_workload_stands_once():
    with pytest.raises(InputError, match="twice"):
        workloads(SCENARIO, SCENARIO)


def test_the_shape_finds_the_row_at_default_settings():
    low = SCENARIO.replace("c50", "c10")
    assert fit(file(), low, EAGER, SCENARIO) == SCENARIO
    assert fit(file(max_concurrency=10), low, EAGER, SCENARIO) == low


@pytest.mark.parametrize(
    "changes",
    [
        {"max_concurrency": 51},
        {"max_concurrency": None},
        {"num_prompts": 100},
        {"total_input_tokens": 200 * 525},
        {"total_input_tokens": 200 * 500},
        {"request_rate": 5.0},
    ],
)
def test_another_shape_lists_the_rows_there_are(changes):
    with pytest.raises(InputError, match=r"200 prompts of 512 tokens, 512 generated") as refused:
        fit(file(**changes), SCENARIO, EAGER)
    assert EAGER in str(refused.value)
    assert work_faults(file(**changes), workloads(SCENARIO)[0]), "by hand it is not the row's work either"


def test_where_there_are_no_rows_it_says_so():
    with pytest.raises(InputError, match=r"no \[\[workload\]\]"):
        fit(file())


def test_rows_that_differ_in_output_alone_are_told_by_it():
    short = SCENARIO.replace("o512", "o128")
    assert fit(file(), short, SCENARIO) == SCENARIO
    assert fit(file(total_output_tokens=200 * 128), SCENARIO, short) == short
    with pytest.raises(InputError, match="several rows"):
        fit(file(total_output_tokens=5), SCENARIO, short)


def test_rows_of_several_models_are_told_by_the_model():
    large = SCENARIO.replace("0.5b", "7b")
    assert fit(file(), large, SCENARIO) == SCENARIO
    assert fit(file(model_id="Qwen2.5-7B"), large, SCENARIO) == large
    with pytest.raises(InputError, match="several rows"):
        fit(file(model_id="tiny"), large, SCENARIO)


def test_a_hub_model_that_is_not_the_rows_is_refused_with_the_way_out():
    with pytest.raises(InputError, match=f"'Qwen/Qwen2.5-7B'.*--scenario {SCENARIO}"):
        fit(file(model_id="Qwen/Qwen2.5-7B"), SCENARIO)


def test_any_other_served_name_is_taken_and_said():
    (row,) = workloads(SCENARIO)
    assert fit(file(model_id="tiny"), SCENARIO) == SCENARIO
    assert "'tiny'" in model_notes(file(model_id="tiny"), row, by_hand=False)[0]
    for same in ("Qwen/Qwen2.5-0.5B", "qwen2.5-0.5b", "/models/Qwen2.5-0.5B/"):
        assert model_notes(file(model_id=same), row, by_hand=False) == []
    assert "names no model" in model_notes(file(model_id=None), row, by_hand=True)[0]


def test_a_row_can_be_named_variants_included():
    assert named(EAGER, workloads(SCENARIO, EAGER), "run.json").scenario == EAGER
    with pytest.raises(InputError, match=EAGER):
        named("other", workloads(SCENARIO, EAGER), "run.json")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (result(total_output_tokens=102399), "102400"),
        (result(max_concurrency=10), "max_concurrency is 10"),
        (result(max_concurrency=None), "max_concurrency is none"),
        (result(num_prompts=400), "num_prompts is 400"),
        (detailed(output_lens=[512] * 198 + [511, 513]), "2 requests got another number of tokens"),
    ],
)
def test_work_that_is_not_the_rows_is_named(data, reason):
    assert reason in "; ".join(work_faults(parse(data, "run.json"), workloads(SCENARIO)[0]))


def test_work_that_is_the_rows_has_no_fault():
    assert work_faults(parse(detailed(), "run.json"), workloads(SCENARIO)[0]) == []
