"""Values as people read them."""

from __future__ import annotations

_SHOWN_DIGITS, _ALL_DIGITS = 5, 17
_LEAST_SHARE = 1e-3


def text_of(value: float, unit: str) -> str:
    """Three significant digits and a unit: 0.1234 s -> '123 ms', 1.9e9 B -> '1.77 GiB', 14.23 tok/s -> '14.2 tok/s'."""
    if unit == "s":
        return _seconds(value)
    if unit == "B":
        return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"
    # Joules a token of a small model: two decimals would leave one digit of them.
    return f"{value:#.3g} {unit}".strip() if 1e-4 <= value < 0.1 else f"{_digits(value)} {unit}".strip()


def share_text(share: float) -> str:
    """A share in percent: 0.25 -> '25%', 0.031 -> '3.1%', 0 -> '0%'; what is more than nothing never reads as 0."""
    if share >= 0.1 or share == 0:
        return f"{100 * share:.0f}%"
    return f"{100 * share:.1f}%" if share >= _LEAST_SHARE else f"<{100 * _LEAST_SHARE:.1f}%"


def digits_apart(value: float, bound: float) -> int:
    """How many significant digits show on which side of `bound` the value is; 5 at least."""
    return next(
        (digits for digits in range(_SHOWN_DIGITS, _ALL_DIGITS) if _side(value, bound, digits) == _side(value, bound)),
        _ALL_DIGITS,
    )


def _side(value: float, bound: float, digits: int = _ALL_DIGITS) -> int:
    seen = float(f"{value:.{digits}g}")
    return (seen > bound) - (seen < bound)


def from_to(before: float, after: float, unit: str) -> tuple[str, str]:
    """Both as `text_of` has them, the first without its unit where that is the second's too: '18.0', '17.6 ms'."""
    first, second = text_of(before, unit), text_of(after, unit)
    number, space, its_unit = first.rpartition(" ")
    return (number if space and its_unit == second.rpartition(" ")[2] else first), second


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
