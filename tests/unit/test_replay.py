"""The clock that replays recorded durations into pytest-benchmark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokgate.replay import ReplayClock

pytestmark = pytest.mark.unit


@given(st.lists(st.floats(1e-6, 1e5), min_size=1))
def test_every_duration_comes_back_exactly(durations: list[float]) -> None:
    clock = ReplayClock()
    clock.load(durations)
    seen = []
    for _ in durations:
        start = clock()
        clock.tick()
        seen.append(clock() - start)
    assert seen == durations


def test_nothing_is_made_up() -> None:
    with pytest.raises(IndexError):
        ReplayClock().tick()


def test_pytest_benchmark_records_what_was_measured(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the real fixture, by its public API alone, to the JSON file it writes."""
    pytester.makepyfile(
        """
        import pytest
        from tokgate.replay import ReplayClock
        CLOCK = ReplayClock()
        @pytest.mark.benchmark(timer=CLOCK)
        def test_it(benchmark):
            CLOCK.load([2.5, 3.5, 3.25])
            benchmark.pedantic(CLOCK.tick, rounds=3, iterations=1)
        """
    )
    # Under pytest-xdist pytest-benchmark turns itself off, by this variable in a child too.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.runpytest_subprocess("--benchmark-json=out.json", "-p", "no:cacheprovider").assert_outcomes(passed=1)
    import json

    data = json.loads((pytester.path / "out.json").read_text())
    assert data["benchmarks"][0]["stats"]["data"] == [2.5, 3.5, 3.25]
