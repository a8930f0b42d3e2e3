"""What becomes of two measurements beside each other: apart, not apart, or not known."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest

from fixtures.comparison import Comparison, LoadClients, Outcome, launches_apart_pct, pairs_apart_pct
from fixtures.judging import GateWarning

pytestmark = pytest.mark.unit

# Of METRICS, with clients that agree.
AGREED = {"throughput": (-2.0, 2.0), "tpot": (-1.0, 1.0), "ttft": (-9.0, -1.0)}


def compared(
    metric: str,
    interval_pct: tuple[float, float] | None,
    apart_pct: tuple[float, float] | None = (-90.0, 900.0),
    strict: bool = False,
    one_s: float = 1.3,
) -> Comparison:
    outcome = Outcome(lambda text: None, strict)
    return Comparison(metric, "s", "ours", one_s, "theirs", 1.0, 30.0, interval_pct, apart_pct, outcome)


def clients(strict: bool = False, **interval_pct: tuple[float, float]) -> LoadClients:
    """Those that agree, but for what is given."""
    return LoadClients(*(compared(metric, known, strict=strict) for metric, known in (AGREED | interval_pct).items()))


@pytest.mark.parametrize(
    ("apart", "beyond_10", "above_0"),
    [
        ((12.0, 60.0), True, True),
        ((-60.0, -12.0), True, False),
        ((5.0, 60.0), None, True),
        ((-60.0, -5.0), None, False),
        ((-5.0, 60.0), None, None),
        ((-5.0, 5.0), False, None),
    ],
)
def test_where_all_launches_are_says_what_a_wide_interval_does_not(
    apart: tuple[float, float], beyond_10: bool | None, above_0: bool | None
) -> None:
    """Of few launches an interval may hold anything."""
    found = compared("ttft", (-90.0, 900.0), apart)
    assert (found.beyond(10), found.above(0)) == (beyond_10, above_0)


def test_what_is_known_is_known_from_both_sides() -> None:
    """What is known to be below is known not to be above."""
    below, above = compared("ttft", (-90.0, 900.0), (-60.0, -5.0)), compared("ttft", (-90.0, 900.0), (5.0, 60.0))
    assert (below.below(0), below.above(0)) == (True, False)
    assert (above.above(0), above.below(0)) == (True, False)


def test_what_all_launches_decide_is_told_beside_the_interval_that_leaves_it_open() -> None:
    def told(interval_pct: tuple[float, float], apart_pct: tuple[float, float], *limits_pct: float) -> str:
        return compared("ttft", interval_pct, apart_pct).text(*limits_pct)

    assert "is +30.0% [-90.0, +900.0], launches +5.0 to +60.0, from " in told((-90.0, 900.0), (5.0, 60.0), 0.0)
    assert "is +30.0% [-90.0, +900.0], launches -5.0 to +5.0, from " in told((-90.0, 900.0), (-5.0, 5.0), -10.0, 10.0)
    assert "is +30.0% [-90.0, +900.0] from " in told((-90.0, 900.0), (-5.0, 60.0), 0.0)
    assert "is +30.0% [+1.0, +900.0] from " in told((1.0, 900.0), (5.0, 60.0), 0.0)


@pytest.mark.parametrize("check", [lambda found: found.within_pct(10), lambda found: found.not_above()])
def test_what_is_known_to_be_wrong_fails_what_is_not_known_warns_and_what_is_right_is_quiet(
    check: Callable[[Comparison], None],
) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"^ttft: .* expected "):
        check(compared("ttft", (11.0, 60.0)))
    with pytest.warns(GateWarning, match=r"^INCONCLUSIVE: ttft: .* expected "):
        check(compared("ttft", (-9.0, 60.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(compared("ttft", (-9.0, -1.0)))


def test_two_launches_that_are_all_above_two_others_show_nothing() -> None:
    """Of four that are the same that is so in one of six runs; of six, three and three, in one of 20."""
    assert launches_apart_pct([1.2, 1.4], [1.0, 1.0]) is None
    assert launches_apart_pct([1.2, 1.4, 1.3], [1.0, 1.0]) is None
    assert launches_apart_pct([1.2, 1.4, 1.3], [1.0, 0.7, 1.0]) == pytest.approx((20, 100))


def test_four_pairs_that_all_point_one_way_show_nothing() -> None:
    """Of pairs that are the same that is so in one of 16 runs, of five in one of 32."""
    assert pairs_apart_pct([1.2, 1.4, 1.1, 1.3]) is None
    assert pairs_apart_pct([1.2, 1.4, 1.1, 1.3, 1.2]) == pytest.approx((10, 40))


def test_of_too_few_to_be_apart_the_interval_decides() -> None:
    unknown = compared("ttft", (-90.0, 900.0), apart_pct=None)
    assert (unknown.above(0), unknown.below(0)) == (None, None)
    above = compared("ttft", (5.0, 60.0), apart_pct=None)
    assert (above.above(0), above.below(0)) == (True, False)
    below = compared("ttft", (-60.0, -5.0), apart_pct=None)
    assert (below.above(0), below.below(0)) == (False, True)


@pytest.mark.parametrize("check", [lambda found: found.within_pct(50), lambda found: found.not_above()])
def test_single_values_show_nothing(check: Callable[[Comparison], None]) -> None:
    with pytest.warns(GateWarning, match=r"^INCONCLUSIVE: ttft: .* is \+30.0% \(single launches\) from "):
        check(compared("ttft", None, (30.0, 30.0)))


@pytest.mark.parametrize("strict", [False, True])
def test_load_clients_that_agree_pass_without_a_word(strict: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clients(strict).agree_within_pct(3)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"throughput": (-9.0, -4.0)}, "^throughput: .* within 3%; theirs was the later one, by 300 ms of TTFT$"),
        ({"tpot": (4.0, 9.0)}, "^tpot: .* within 3%; theirs was the later one, by 300 ms of TTFT$"),
        ({"ttft": (1.0, 9.0)}, "^ttft: .* not above the second; ours was the later one, by 300 ms of TTFT$"),
        ({"tpot": (4.0, 9.0), "ttft": (-9.0, 9.0)}, "^tpot: .* neither is known to be the later one$"),
        ({"tpot": (4.0, 9.0), "ttft": (1.0, 9.0)}, "(?s)^tpot: .* ours was .*\nttft: .* ours was "),
        ({"tpot": (-9.0, 9.0), "ttft": (1.0, 9.0)}, "^ttft: "),
    ],
)
def test_load_clients_that_are_apart_fail_and_the_later_one_is_named(
    found: dict[str, tuple[float, float]], said: str
) -> None:
    """What is open is not told where something is known to be wrong."""
    with pytest.raises(pytest.fail.Exception, match=said) as failed:
        clients(**found).agree_within_pct(3)
    assert "INCONCLUSIVE" not in str(failed.value)


def test_load_clients_agree_where_every_pair_says_so_however_wide_the_interval() -> None:
    near = replace(compared("throughput", (-9.0, 9.0), (-2.0, 2.5)), by="pairs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replace(clients(), throughput=near).agree_within_pct(3)
    far = replace(compared("throughput", (-9.0, 9.0), (3.5, 8.0)), by="pairs")
    with pytest.raises(pytest.fail.Exception, match=r"\[-9.0, \+9.0\], pairs \+3.5 to \+8.0, from .* within 3%; "):
        replace(clients(), throughput=far).agree_within_pct(3)


def test_where_the_server_tells_its_own_ttft_what_a_clients_is_longer_by_decides() -> None:
    late = replace(clients(), overhead=compared("overhead", (1.0, 9.0)))
    with pytest.raises(pytest.fail.Exception, match=r"^overhead: .* ours was the later one, by 300 ms of TTFT$"):
        late.agree_within_pct(3)
    unsure = replace(clients(ttft=(-9.0, 9.0)), overhead=compared("overhead", (-9.0, -1.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unsure.agree_within_pct(3)


def test_a_client_whose_first_tokens_come_later_fails_though_it_sees_them_in_time() -> None:
    """As one whose bursts make the server late."""
    found = replace(clients(ttft=(1.0, 9.0)), overhead=compared("overhead", (-9.0, -1.0)))
    with pytest.raises(pytest.fail.Exception, match=r"^ttft: .* in the server or beyond it$"):
        found.agree_within_pct(3)


@pytest.mark.parametrize(
    ("metric", "known"),
    [("throughput", (-9.0, 0.0)), ("throughput", (0.0, 9.0)), ("tpot", (-9.0, 9.0)), ("ttft", (-9.0, 9.0))],
)
@pytest.mark.parametrize("strict", [False, True])
def test_load_clients_that_may_be_apart_are_inconclusive(metric: str, known: tuple[float, float], strict: bool) -> None:
    said = f"^INCONCLUSIVE: {metric}: .* expected "
    with pytest.raises(pytest.fail.Exception, match=said) if strict else pytest.warns(GateWarning, match=said):
        clients(strict, **{metric: known}).agree_within_pct(3)


def test_how_far_apart_two_clients_are_is_a_factor_whichever_is_the_larger() -> None:
    near = compared("tpot", None)
    assert LoadClients(near, near, near).factor == pytest.approx(1.3)
    assert LoadClients(near, compared("tpot", None, one_s=0.25), near).factor == pytest.approx(4.0)
