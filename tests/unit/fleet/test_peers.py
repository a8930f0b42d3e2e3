"""Nodes compared with their peers: who is named, who never, and how often wrongly."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from fleet.examples import SCENARIOS, of_model, session
from tokgate.fleet import peers
from tokgate.fleet.peers import Standing, factor
from tokgate.session import Session

pytestmark = pytest.mark.unit


def fleet(log_times: list[float] | np.ndarray) -> dict[str, Session]:
    """A node for each of these, that much slower in all its rows."""
    return {f"edge-{number}": session(f"night-{number}", [float(t)] * 3) for number, t in enumerate(log_times)}


def standings(nodes: dict[str, Session]) -> dict[str, Standing]:
    """Of nodes with a session each."""
    found = peers.standings({node: [session] for node, session in nodes.items()})
    return {node: standing for node, by_session in found.items() for standing in by_session.values()}


def slower(found: dict[str, Standing]) -> set[str]:
    return {name for name, standing in found.items() if standing.slower}


def test_a_node_much_slower_than_its_seven_peers_is_named_and_no_other() -> None:
    found = standings(fleet([0.0, 0.01, -0.01, 0.005, -0.005, 0.0, 0.01, math.log(1.3)]))
    assert slower(found) == {"edge-7"}
    assert found["edge-7"].change_pct == pytest.approx(30, abs=0.5)
    assert found["edge-7"].peers == 7
    assert found["edge-7"].rows == 6


def test_two_slow_nodes_of_ten_do_not_hide_each_other() -> None:
    noise = [0.0, 0.01, -0.01, 0.005, -0.005, 0.0, 0.01, -0.01]
    assert slower(standings(fleet([*noise, 0.3, 0.3]))) == {"edge-8", "edge-9"}


def test_a_difference_within_the_margin_is_not_named_however_alike_the_others_are() -> None:
    assert slower(standings(fleet([0.0] * 9 + [0.05]))) == set()
    assert slower(standings(fleet([0.0] * 9 + [0.07]))) == {"edge-9"}


def test_a_faster_node_is_not_named() -> None:
    assert slower(standings(fleet([0.0] * 9 + [-0.5]))) == set()


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_fewer_than_three_peers_say_nothing(nodes: int) -> None:
    found = standings(fleet([0.0] * (nodes - 1) + [1.0]))
    assert {standing.change_pct for standing in found.values()} == {None}
    assert {standing.peers for standing in found.values()} == {nodes - 1}


def test_only_nodes_of_one_machine_id_and_profile_are_peers() -> None:
    """Four slow machines of another make are not slower than their peers, and four of another profile neither."""
    others = {
        f"big-{number}": session(log_times=[1.0] * 3, machine={"id": "big-64c-256g", "kind": "cpu"})
        for number in range(4)
    }
    quick = {f"quick-{number}": session(log_times=[2.0] * 3, profile="quick") for number in range(4)}
    found = standings({**fleet([0.0, 0.001, -0.001, 0.0]), **others, **quick})
    assert slower(found) == set()
    assert {standing.peers for standing in found.values()} == {3}


def test_the_row_that_is_farthest_behind_is_told() -> None:
    nodes = fleet([0.0] * 7)
    nodes["edge-7"] = session(log_times=[0.1, 0.5, 0.2])
    standing = standings(nodes)["edge-7"]
    assert standing.worst is not None
    assert standing.worst[0] == SCENARIOS[1]
    assert standing.worst_pct == pytest.approx(100 * math.expm1(0.5))
    assert standing.change_pct == pytest.approx(100 * math.expm1(0.8 / 3))


def test_rows_that_a_node_lacks_are_compared_in_no_node() -> None:
    nodes = fleet([0.0] * 5)
    nodes["edge-0"] = msgspec.structs.replace(nodes["edge-0"], rows=nodes["edge-0"].rows[:2])
    assert {standing.rows for standing in standings(nodes).values()} == {2}


def test_rows_that_are_not_gated_count_for_nothing() -> None:
    nodes = fleet([0.0] * 7 + [1.0])
    rows = [msgspec.structs.replace(row, gated=False) for row in nodes["edge-7"].rows]
    nodes["edge-7"] = msgspec.structs.replace(nodes["edge-7"], rows=rows)
    assert {standing.change_pct for standing in standings(nodes).values()} == {None}


def test_what_only_the_slow_node_has_is_told() -> None:
    nodes = fleet([0.0] * 7 + [0.5])
    machine = {**nodes["edge-7"].machine, "recorded": {"governor": "powersave"}}
    nodes["edge-7"] = msgspec.structs.replace(nodes["edge-7"], machine=machine)
    found = standings(nodes)
    assert any("performance -> powersave" in change for change in found["edge-7"].odd)
    assert found["edge-0"].odd == ()


@pytest.mark.parametrize("nodes", [4, 5, 6, 10, 20])
def test_of_fleets_of_equal_nodes_one_in_100_names_a_node(nodes: int) -> None:
    """Noise of 10% between nodes, far beyond the margin: all that holds the rate is k. 1,000 fleets, seeded."""
    rng = np.random.default_rng(nodes)
    fleets = 1000
    alarms = sum(bool(slower(standings(_of_one_row(rng.normal(0, 0.1, nodes))))) for _ in range(fleets))
    # 1% of 1,000 is 10; 22 or more have a probability of 0.1%.
    assert alarms < 22


def test_each_matrix_is_compared_by_itself() -> None:
    """A node that is slow in one model's rows is named there, by that model's rows alone."""
    nodes = {
        name: [tiny, of_model("big", f"big-{name}", [0.4 if name == "edge-7" else 0.0] * 3)]
        for name, tiny in fleet([0.0, 0.01, -0.01, 0.005, -0.005, 0.0, 0.01, -0.01]).items()
    }
    found = peers.standings(nodes)
    assert {name for name, by_session in found.items() if by_session[f"big-{name}"].slower} == {"edge-7"}
    big = found["edge-7"]["big-edge-7"]
    assert (big.change_pct, big.rows, big.peers) == (pytest.approx(100 * math.expm1(0.4)), 6, 7)
    assert big.worst is not None
    assert big.worst[0].startswith("big.onnx.int8.")
    tiny = found["edge-7"]["night-7"]
    assert tiny.change_pct == pytest.approx(-1, abs=0.1)
    assert tiny.worst is not None
    assert tiny.worst[0] in SCENARIOS


def test_a_node_without_one_matrix_is_compared_over_the_others_and_hinders_nobody() -> None:
    nodes = {name: [tiny, of_model("big", "big")] for name, tiny in fleet([0.0] * 5).items()}
    nodes["edge-0"] = nodes["edge-0"][:1]
    found = peers.standings(nodes)
    assert {name: [standing.peers for standing in by.values()] for name, by in found.items()} == {
        "edge-0": [4], "edge-1": [4, 3], "edge-2": [4, 3], "edge-3": [4, 3], "edge-4": [4, 3],
    }  # fmt: skip
    assert {standing.rows for by in found.values() for standing in by.values()} == {6}


def test_the_order_of_a_nodes_sessions_means_nothing() -> None:
    nodes = {name: [tiny, of_model("big", "big", [0.0, 0.0, 0.1])] for name, tiny in fleet([0.0] * 4 + [0.3]).items()}
    turned = {name: found[::-1] if name == "edge-2" else found for name, found in nodes.items()}
    assert peers.standings(turned) == peers.standings(nodes)


def test_scenarios_that_a_node_splits_otherwise_are_still_held_against_themselves() -> None:
    """Of other versions: what is one matrix on one node is two on the other, and its values are the same."""
    nodes = {name: [tiny] for name, tiny in fleet([0.0] * 4 + [0.3]).items()}
    (whole,) = nodes["edge-4"]
    halves = [msgspec.structs.replace(whole, id=f"{at}", rows=whole.rows[at : at + 3]) for at in (0, 3)]
    found = peers.standings({**nodes, "edge-4": halves})
    assert found["edge-4"]["0"] == found["edge-4"]["3"]
    assert found["edge-4"]["0"].change_pct == pytest.approx(100 * math.expm1(0.3))
    assert found["edge-0"] == peers.standings(nodes)["edge-0"]


@pytest.mark.parametrize("nodes", [4, 10])
def test_of_fleets_of_equal_nodes_one_in_100_names_a_node_in_any_of_three_matrices(nodes: int) -> None:
    rng = np.random.default_rng(nodes)
    alarms = 0
    for _ in range(1000):
        of_models = [
            {name: msgspec.structs.replace(of_model(model, model), rows=of_model(model, model, [t] * 3).rows[:1])
             for name, t in zip(map(str, range(nodes)), rng.normal(0, 0.1, nodes), strict=True)}
            for model in ("small", "big", "other")
        ]  # fmt: skip
        found = peers.standings({name: [of[name] for of in of_models] for name in of_models[0]})
        alarms += any(standing.slower for by_session in found.values() for standing in by_session.values())
    # As above; without k's share for each comparison 3% would be named.
    assert alarms < 22


def test_more_comparisons_must_show_more() -> None:
    assert factor(6) < factor(6, 2) < factor(6, 3)


def test_fewer_peers_must_show_more() -> None:
    assert factor(4) > factor(5)
    assert factor(6) > factor(10) > factor(20), "from five peers on the slowest fifth tells nothing"


def _of_one_row(log_times: np.ndarray) -> dict[str, Session]:
    nodes = fleet(log_times)
    return {name: msgspec.structs.replace(found, rows=found.rows[:1]) for name, found in nodes.items()}
