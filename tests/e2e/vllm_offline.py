"""What is looked at in a session of vLLM offline, of one group, whatever its precision."""

from __future__ import annotations

from flow import ROOT, Measured, check_planned_work

from tokgate.matrix_file import load_matrix
from tokgate.report.trace import read_summary
from tokgate.scenario import Scenario

FILE = "vllm-cpu.toml"


def rows_of(group: str) -> list[Scenario]:
    matrix = load_matrix(ROOT / "scenarios" / FILE).with_models(lambda shape: "tiny-dummy")
    rows = [scenario for scenario in matrix.rows("smoke") if scenario.group.id == group]
    assert rows, f"{FILE} has no {group}"
    return rows


def check_work(measured: Measured, group: str) -> None:
    for event in check_planned_work(measured, FILE, group):
        assert 0 < event["tpot_s"] < event["total_s"]


def check_outputs(measured: Measured, group: str) -> None:
    """They were compared with plain transformers in FP32, on the weights that the group's were made from."""
    (accuracy,) = measured.session.accuracy
    assert (accuracy.group, accuracy.positions) == (group, 48)
    assert accuracy.top1_agreement > 0.8


def check_what_was_chosen(measured: Measured, group: str, quantisation: str) -> None:
    """Versions, dtype, kernels and settings, as read back from the running engine."""
    engine = measured.session.telemetry["groups"][group]["engine"]
    assert engine["quantization"] == quantisation
    assert engine["enforce_eager"] == "True"
    assert engine["max_model_len"] == "2048"
    assert not [name for name, value in engine.items() if "unknown" in value], engine
    assert measured.session.software["vllm-cpu"]


def check_kv_cache(measured: Measured, group: str) -> None:
    """8 sequences of 55 tokens hold at least a block each, 1 holds fewer; 1 GiB is allocated."""
    found = measured.session.telemetry["groups"][group]
    (launch,) = found["launches"]
    assert launch["compiled"] == {}, "eager"
    used: dict[int, list[dict[str, int]]] = {1: [], 8: []}
    for event in launch["rounds"]:
        used[8 if ".b8." in event["scenario"] else 1].append(event["kv_cache"])
    assert all(8 <= use["peak_blocks"] < use["blocks"] for use in used[8])
    assert all(1 <= use["peak_blocks"] < 8 for use in used[1])
    tokens = int(found["engine"]["kv_cache_tokens"])
    assert {(use["blocks"] + 1) * use["block_tokens"] for use in [*used[1], *used[8]]} == {tokens}
    assert all(event["counters"]["num_preemptions"] == 0 for event in launch["rounds"])


def check_traces(measured: Measured, group: str) -> None:
    """Of each row: steps decode all tokens but the first, the prefill's; and the file is there to be opened."""
    assert "no trace of" not in measured.out
    (folder,) = (measured.folder / "traces").iterdir()
    for scenario in rows_of(group):
        (path,) = (folder / group).glob(f"{scenario.shape_id}.*.pt.trace.json.gz")
        found = read_summary(path)
        phases = {part.name: part for part in found.phases}
        assert set(phases) == {"prefill", "decode"}
        assert scenario.output_len - 1 <= phases["decode"].count <= scenario.output_len
        assert path.name in measured.out
