"""The noncentrality of a comparison's power, where scipy finds it and where it would search for ever."""

from __future__ import annotations

import math

import pytest
from scipy.special import nctdtr

from tokgate.gate.estimate import noncentrality, quantile

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("df", [0.45, 0.5, 0.7, 1.0, 4.0, 30.0])
def test_it_is_exceeded_with_the_power_asked_for(df: float) -> None:
    """On both sides of where the chi-square alone decides (df 0.45 and 0.5 at this level)."""
    found = noncentrality(df, 0.004, 0.8)
    assert float(nctdtr(df, found, quantile(df, 0.004))) == pytest.approx(0.2, abs=1e-3)


def test_with_hardly_a_degree_of_freedom_it_is_found_too() -> None:
    """Of a sweep of four settings in two launches each: scipy alone does not return."""
    found = noncentrality(0.33486184203427355, 0.05 / 12, 0.8)
    assert math.isfinite(found)
    assert found > quantile(0.33486184203427355, 0.05 / 12) > 1e5
