"""Values as people read them."""

from __future__ import annotations


def text_of(value: float, unit: str) -> str:
    """Three significant digits and a unit: 0.1234 s -> '123 ms', 1.9e9 B -> '1.77 GiB', 14.23 tok/s -> '14.2 tok/s'."""
    if unit == "s":
        return _seconds(value)
    if unit == "B":
        return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"
    return f"{_digits(value)} {unit}".strip()


def _seconds(value: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if value * factor >= 1 or unit == "us":
            return f"{_digits(value * factor)} {unit}"
    raise AssertionError("unreachable")


def _digits(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """How long something takes, as one says it: '40 s', '12 min', '3.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
