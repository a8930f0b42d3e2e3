"""The nights of the table: a noise, what was done to the software, and which columns are asked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tokgate.prove.nights import Simulated, Source
from tokgate.prove.noise import NO_EFFECT, Effect, Noise
from tokgate.prove.trial import COLUMNS, RIVALS, Column, Pairing

# The two noises in which the gate's figures are given.
GPU = Noise("gpu", session_sd=0.005, launch_sd=0.004, iteration_sd=0.01)
CPU = Noise(
    "cpu",
    session_sd=0.015,
    night_sd=0.01,
    launch_sd=0.01,
    iteration_sd=0.03,
    contaminated_share=0.08,
    contaminated_by=0.40,
)

UNCHANGED = "unchanged"
SLOWER = {pct: Effect(pct / 100) for pct in (2, 3, 5, 10, 20)}


@dataclass(frozen=True)
class Situation:
    """A line of the table. `noise` and `label` name it; `heading` says what the noise is, in words.

    `share`: of the nights that are asked for, fewer where the line only shows what a noise does.
    """

    noise: str
    label: str
    heading: str
    source: Source
    columns: tuple[Column, ...] = COLUMNS
    pairing: Pairing = "all"
    share: float = 1.0

    @property
    def id(self) -> str:
        return f"{self.noise}: {self.label}"


def full() -> list[Situation]:
    """Every line."""
    return [*_gpu(), *_gpu_in_pairs(), *_gpu_otherwise(), *_cpu()]


def quick() -> list[Situation]:
    """The lines with the gate's own figures, and of tokgate's columns those that are quickest to show."""
    asked: dict[str, tuple[Column, ...]] = {
        f"gpu: {UNCHANGED}": ("stored5", "paired", *RIVALS),
        f"gpu: {_slower(5)}": ("stored5", "stored10", *RIVALS),
        f"gpu: {_slower(3)}": ("paired",),
        f"gpu: {_slower(2)}": ("paired",),
        f"cpu: {UNCHANGED}": ("stored5", "paired", *RIVALS),
        f"cpu: {_slower(10)}": ("paired",),
    }
    return [replace(line, columns=asked[line.id]) for line in full() if line.id in asked]


def _slower(pct: int) -> str:
    return f"1 row {pct}% slower"


def _gpu() -> list[Situation]:
    heading = "GPU: SD of sessions 0.5% (varying by row), launches 0.4%, iterations 1%"
    effects = {
        UNCHANGED: NO_EFFECT,
        **{_slower(pct): SLOWER[pct] for pct in (5, 3, 2)},
        "all 2% slower": Effect(0.02, all_rows=True),
        "1 row 5% faster": Effect(-0.05),
        "all 5% faster": Effect(-0.05, all_rows=True),
        "iteration SD x2": Effect(iteration_sd_factor=2.0),
        "launch SD x2": Effect(launch_sd_factor=2.0),
    }
    return [Situation("gpu", label, heading, Simulated(GPU, effect)) for label, effect in effects.items()]


def _gpu_in_pairs() -> list[Situation]:
    """The same nights where only some rows were measured in pairs."""
    slow = "GPU, in pairs only the slow row"
    chosen = "GPU, in pairs the rows that a run would choose (neither PASS nor IMPROVED by the accepted sessions)"
    return [
        *(
            Situation("gpu-slow", _slower(pct), slow, Simulated(GPU, SLOWER[pct]), ("paired",), "watched", 0.5)
            for pct in (3, 2)
        ),
        Situation("gpu-run", UNCHANGED, chosen, Simulated(GPU, NO_EFFECT), ("paired",), "chosen", 0.5),
        *(
            Situation("gpu-run", _slower(pct), chosen, Simulated(GPU, SLOWER[pct]), ("paired",), "chosen", 0.5)
            for pct in (3, 2)
        ),
    ]


def _gpu_otherwise() -> list[Situation]:
    """The GPU's noise with one thing added to it."""
    unlike = replace(GPU, session_sd_spread=0.5)
    contaminated = replace(GPU, contaminated_share=0.08, contaminated_by=0.20)
    bimodal = replace(GPU, bimodal_share=0.3, bimodal_distance=0.02)
    drift = replace(GPU, drift_sd=0.003)
    noises = {
        "gpu-unlike": ("GPU, rows less alike: session SDs spread by a sigma of 0.5, not 0.3", unlike),
        "gpu-contaminated": ("GPU, 8% of launches slowed by up to 20%", contaminated),
        "gpu-bimodal": ("GPU, 30% of launches in a second mode, 2% slower", bimodal),
        "gpu-drift": ("GPU, drift: a random walk of the whole machine, 0.3% a session", drift),
    }
    return [
        Situation(name, label, heading, Simulated(noise, effect), share=0.5)
        for name, (heading, noise) in noises.items()
        for label, effect in ((UNCHANGED, NO_EFFECT), (_slower(5), SLOWER[5]))
    ]


def _cpu() -> list[Situation]:
    heading = (
        "CPU: SD of sessions 1.5% (varying by row) and of the night 1%, launches 1%, iterations 3%; 8% of launches "
        "slowed by up to 40%"
    )
    together = "CPU, a slowed launch is slow in all its rows"
    return [
        *(
            Situation("cpu", label, heading, Simulated(CPU, effect))
            for label, effect in (
                (UNCHANGED, NO_EFFECT),
                (_slower(10), SLOWER[10]),
                (_slower(20), SLOWER[20]),
            )
        ),
        *(
            Situation(
                "cpu-launches",
                label,
                together,
                Simulated(replace(CPU, contaminated_together=True), effect),
                share=0.5,
            )
            for label, effect in ((UNCHANGED, NO_EFFECT), (_slower(10), SLOWER[10]))
        ),
    ]
