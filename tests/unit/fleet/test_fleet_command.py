"""`tokgate fleet` on a cluster whose nodes' answers are written down: what it asks, prints and exits with."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleet.examples import answer, ended, lines, session
from tokgate import session as sessions
from tokgate.cli import main
from tokgate.fleet.cluster import Ended, Node
from tokgate.fleet.task import Order
from tokgate.session import Session

pytestmark = pytest.mark.unit


class Fleet:
    """Runs the command against these answers; remembers what was asked of the nodes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.answers: list[Ended] = []
        self.orders: list[Order] = []
        self.interrupted_after: int | None = None
        self.closed = False
        (folder / "baselines").mkdir()
        monkeypatch.setattr("tokgate.fleet.cluster.connect", self._connect)

    def __call__(self, *args: str) -> int:
        store = ("--baselines", str(self.folder / "baselines"), "--out", str(self.folder / "out"))
        return main(["fleet", "--ray", "edge:6379", *store, "-m", "cpu", *args])

    def accept(self) -> None:
        """Five nights of the machine that answers come from."""
        paths = []
        for number in range(5):
            night = session(f"night-{number}", [0.002 * (number - 2)] * 3, started=f"2026-11-0{number + 1}T03:00:00Z")
            paths.append(str(sessions.write(night, self.folder / "accepted")))
        assert main(["accept", *paths, "--reason", "first", "--baselines", str(self.folder / "baselines")]) == 0

    @contextmanager
    def _connect(self, address: str) -> Iterator[Fleet]:
        assert address == "edge:6379"
        yield self

    def nodes(self) -> tuple[list[Node], list[str]]:
        return [one.node for one in self.answers], ["head"]

    def run(self, nodes: Sequence[Node], order: Order) -> Generator[Ended, None, None]:
        self.orders.append(order)
        try:
            for number, one in enumerate(self.answers):
                if number == self.interrupted_after:
                    raise KeyboardInterrupt
                yield one
        finally:
            self.closed = True


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(tmp_path, monkeypatch)


def night(number: int, log_time: float = 0.0, **changes: object) -> Session:
    return session(f"now-{number}", [log_time] * 3, started="2026-11-21T03:00:00Z", **changes)


def test_what_the_command_does_not_know_goes_to_the_nodes_pytest(fleet: Fleet) -> None:
    fleet.answers = [ended("edge-1", answer(night(1)))]
    fleet("--perf-strict", "--timeout", "60", "--perf-profile", "nightly", "-k", "a b", "tests/cpu", "-rA")
    (order,) = fleet.orders
    assert order.arguments == (
        "-m", "cpu", "--perf-strict", "--perf-profile", "nightly", "-k", "a b", "tests/cpu", "-rA",
    )  # fmt: skip
    assert (order.checkout, order.python, order.timeout_s) == (str(Path.cwd()), None, 60)


def test_other_commands_refuse_what_they_do_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["judge", "x.json", "--unknown"])
    assert stop.value.code == 2
    assert "--unknown" in capsys.readouterr().err


def test_nodes_like_their_accepted_nights_pass(fleet: Fleet) -> None:
    fleet.accept()
    fleet.answers = [ended(f"edge-{number}", answer(night(number))) for number in (1, 2)]
    assert fleet("--perf-require-baseline") == 0


def test_a_dead_node_is_invalid_and_the_rest_is_reported(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    """INVALID goes before a regression: the first of 2, 4, 1, 3."""
    fleet.accept()
    slow = night(1, 0.3)
    fleet.answers = [
        ended("edge-1", answer(slow, status=1)),
        ended("edge-3", None, "the node died while it measured"),
        ended("edge-2", answer(night(2))),
    ]
    assert fleet() == 4
    out = capsys.readouterr().out
    assert out.index("edge-1") < out.index("edge-2") < out.index("edge-3")
    assert "the node died while it measured" in out
    assert "REGRESSED" in out
    assert "pass" in out
    fleet.answers = fleet.answers[::2]
    assert fleet("--out", str(fleet.folder / "again")) == 1


def test_a_failed_nodes_last_words_are_shown(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.answers = [ended("edge-1", answer(status=3, tail="INTERNALERROR> no such device"))]
    assert fleet() == 4
    assert "| INTERNALERROR> no such device" in capsys.readouterr().out


def test_a_node_slower_than_its_peers_is_named_and_the_status_stays(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = [0.0, 0.01, -0.01, 0.005, -0.005, 0.01, -0.01, 0.0, 0.3]
    fleet.answers = [ended(f"edge-{number}", answer(night(number, t))) for number, t in enumerate(noise)]
    assert fleet() == 0, "nothing is accepted yet, and peers are no baseline"
    out = capsys.readouterr().out
    assert "SLOWER edge-8: 35.0% behind the median of its 8 peers (edge-8c-16g)" in out
    assert "SLOWER edge-0" not in out


def test_json_is_one_object_a_node(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.answers = [ended("edge-2", None, "gone"), ended("edge-1", answer(night(1)))]
    assert fleet("--json") == 4
    first, second = lines(capsys.readouterr().out)
    assert (first["node"], first["machine"], first["outcome"]) == ("edge-1", "edge-8c-16g", "no-baseline")
    assert first["peers"]["peers"] == 0
    assert (second["node"], second["outcome"], second["reasons"]) == ("edge-2", "invalid", ["gone"])


def test_fewer_nodes_than_expected_is_no_pass(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.answers = [ended("edge-1", answer(night(1)))]
    assert fleet("--expect", "2") == 4
    assert "expected 2" in capsys.readouterr().err
    assert fleet.orders == []


def test_a_cluster_that_can_measure_nowhere_is_bad_input(fleet: Fleet) -> None:
    assert fleet() == 2


def test_what_the_nodes_could_not_be_held_against_or_kept_in_is_2_before_they_are_asked(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.answers = [ended("edge-1", answer(night(1)))]
    (file := fleet.folder / "file").write_text("")
    for args, said in (
        (("--baselines", str(fleet.folder / "nosuch")), f"there is no folder {fleet.folder / 'nosuch'}, so nothing"),
        (("--baselines", str(file)), f"there is no folder {file}, so nothing to compare with"),
        (("--out", str(file / "deep")), f"--out {file / 'deep'}: no file can be written there: Not a directory"),
    ):
        assert fleet(*args) == 2
        assert said in capsys.readouterr().err
    assert fleet.orders == []


def test_an_interruption_cancels_the_others_and_keeps_what_came_back(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.answers = [ended(f"edge-{number}", answer(night(number))) for number in (1, 2)]
    fleet.interrupted_after = 1
    assert fleet() == 130
    assert fleet.closed
    assert "interrupted" in capsys.readouterr().err
    assert (fleet.folder / "out" / "now-1.json").exists()
