"""The page of a sweep that nobody measured: a winner, one like it, one behind, one that breaks, one that failed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.unit.sweep.examples import THROUGHPUT, TPOT, candidate, measured, written
from tokgate.report.html.blocks import Page
from tokgate.sweep.constraints import Constraint
from tokgate.sweep.file import read_sweep
from tokgate.sweep.outcome import Outcome
from tokgate.sweep.page import sweep_page
from tokgate.sweep.pareto import front
from tokgate.sweep.ranking import Lost, Status, rank
from tokgate.sweep.schedule import Failures
from tokgate.sweep.winner import Winner


class FakeBench:
    """What of a bench stands on the page. `text` is in whatever may hold text."""

    def __init__(self, text: str = "") -> None:
        self.device = type("Device", (), {"machine": {"id": "edge", "stable": {"cpu_name": text}}})()
        source = type("Source", (), {"model_id": f"m{text}", "note": text, "identity": text})()
        self.opened = type("Opened", (), {"source": source})()
        self.setting = type("Setting", (), {"python": sys.executable})()


def page_of(folder: Path, text: str = "") -> Page:
    """`text` is in the label of every setting, in the reasons, the command, the folder and the facts."""
    sweep = read_sweep(written(folder))
    constraints = [Constraint(THROUGHPUT, "max", 110.0, "110 tok/s"), Constraint(TPOT, "max", 1.0, "1 s")]
    speeds = {1: [102.0, 103.0, 101.0], 2: [101.0, 102.0, 101.5], 3: [50.0, 51.0, 49.0], 4: [120.0, 121.0, 119.0]}
    # The one that is behind answers soonest: two are on the front.
    tpots = {number: [0.004 if number == 3 else 1 / value for value in values] for number, values in speeds.items()}
    found = measured(speeds, tpots, constraints=constraints)
    for each in found:
        object.__setattr__(each.candidate, "label", f"{each.candidate.label}{text}")
    object.__setattr__(found[0], "failures", Failures(1, 4, f"it died {text}\nonce {text}"))
    why = f"it crashed {text}\nin a line {text}"
    lost = [Lost(candidate(9, label=f"n=9{text}"), Status.FAILED, why, Failures(2, 2, why))]
    outcome = Outcome(sweep, rank(found, "output_throughput", lost), front(found), 12, 60.0)
    best = outcome.ranking.best
    assert best is not None
    winner = Winner(best.measured.candidate, f"vllm serve MODEL --x={text}", text, folder, folder, f"id{text}")
    bench: Any = FakeBench(text)
    return sweep_page(outcome, bench, winner, f"folder{text}")
