"""Distances between logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tokgate.accuracy import Reference, compare

pytestmark = pytest.mark.unit

LOGITS = np.random.default_rng(0).normal(size=(4, 8, 100)).astype(np.float32)


def test_the_same_logits_are_at_no_distance() -> None:
    distance = compare(LOGITS, LOGITS)
    assert (distance.positions, distance.top1_agreement, distance.max_logit_diff) == (32, 1.0, 0.0)


def test_noise_of_a_tenth_is_a_distance_of_a_tenth() -> None:
    noise = np.random.default_rng(1).normal(size=LOGITS.shape).astype(np.float32)
    assert compare(LOGITS, LOGITS + 0.1 * noise).logit_distance == pytest.approx(0.1, rel=0.05)


def test_other_logits_agree_by_chance_alone() -> None:
    other = np.random.default_rng(2).normal(size=LOGITS.shape).astype(np.float32)
    assert compare(LOGITS, other).top1_agreement < 0.2


def test_nan_is_never_accurate() -> None:
    broken = LOGITS.copy()
    broken[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        compare(LOGITS, broken)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        compare(LOGITS, LOGITS[:, :4])


def test_a_reference_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    reference = Reference(np.ones((2, 3), np.int64), np.zeros((2, 8), np.int64), LOGITS[:2])
    reference.save(tmp_path)
    loaded = Reference.load(tmp_path)
    assert (loaded.logits == reference.logits).all()
    assert (loaded.continuation == reference.continuation).all()
