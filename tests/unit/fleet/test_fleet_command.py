"""`tokgate fleet` on a cluster whose nodes' answers are written down: what it asks, prints and exits with."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from fleet.examples import answer, ended, lines, of_model, session
from tokgate import session as sessions
from tokgate.cli import main
from tokgate.fleet.cluster import Ended, Node
from tokgate.fleet.task import Answer, Order
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

    def accept(self, model: str = "tiny-dummy") -> None:
        """Five nights of the machine that answers come from."""
        paths = []
        for number in range(5):
            name, started = f"{model}-night-{number}", f"2026-11-0{number + 1}T03:00:00Z"
            night = of_model(model, name, [0.002 * (number - 2)] * 3, started=started)
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


def several(number: int, big: float = 0.0, **changes: object) -> Answer:
    """A node's answer after two matrices, of the tiny model and of a big one."""
    started = "2026-11-21T03:00:00Z"
    return answer(night(number), of_model("big", f"big-{number}", [big] * 3, started=started), **changes)


def test_each_matrix_of_a_node_has_its_line_and_its_file(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    """One model regressed on one node: the node fails, its other session passes, and both are kept."""
    fleet.accept()
    fleet.accept("big")
    capsys.readouterr()
    fleet.answers = [ended("edge-1", several(1, 0.3, status=1)), ended("edge-2", several(2))]
    assert fleet() == 1
    out, err = capsys.readouterr()
    assert "edge-1: fail after 0 s (2 sessions)" in err
    table = [line.split() for line in out[: out.index("edge-1, ")].splitlines()]
    assert ["edge-1", "fail", "2", "sessions"] in table
    assert ["edge-8c-16g", "pass", "tiny-dummy.onnx.int8", "1", "of", "3", "peers"] in table
    assert ["edge-8c-16g", "fail", "big.onnx.int8", "1", "of", "3", "peers"] in table
    assert ["edge-2", "pass", "2", "sessions"] in table
    assert "edge-1, big.onnx.int8:\n  REGRESSED big.onnx.int8.b1.p5.o50" in out
    kept = f"edge-1, tiny-dummy.onnx.int8: session {fleet.folder / 'out' / 'now-1.json'}"
    assert kept in " ".join(out.split())
    assert "are not in this session" not in out, "the node's other session has them"
    assert {path.stem for path in (fleet.folder / "out").iterdir()} == {"now-1", "big-1", "now-2", "big-2"}


def test_a_node_is_named_slower_in_the_matrix_that_it_is_slow_in(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = [0.0, 0.01, -0.01, 0.005, -0.005, 0.01, -0.01, 0.0, 0.3]
    fleet.answers = [ended(f"edge-{number}", several(number, t)) for number, t in enumerate(noise)]
    assert fleet() == 0
    named = [line for line in capsys.readouterr().out.splitlines() if line.startswith("SLOWER")]
    assert len(named) == 1
    assert named[0].startswith(
        "SLOWER edge-8, big.onnx.int8: 35.0% behind the median of its 8 peers (edge-8c-16g) over 6"
    )


def test_json_has_an_object_a_session_with_the_nodes_outcome_in_each(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.accept()
    capsys.readouterr()
    fleet.answers = [ended("edge-1", several(1)), ended("edge-2", answer(night(2)))]
    assert fleet("--json") == 4, "edge-2 lacks a matrix"
    told = [
        (line["node"], line["node_outcome"], line["session"], line["outcome"])
        for line in lines(capsys.readouterr().out)
    ]
    assert told == [
        ("edge-1", "no-baseline", "now-1", "pass"),
        ("edge-1", "no-baseline", "big-1", "no-baseline"),
        ("edge-2", "invalid", "now-2", "pass"),
        ("edge-2", "invalid", "", "invalid"),
    ]


def test_a_matrix_that_a_node_skipped_is_no_pass(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.answers = [ended("edge-1", several(1)), ended("edge-2", answer(night(2)))]
    assert fleet() == 4
    out = capsys.readouterr().out
    assert re.search(r"^edge-2 +invalid +1 of 2 sessions", out, re.MULTILINE)
    assert (
        "edge-2, big.onnx.int8:\n  big.onnx.int8 was not measured: edge-1, edge-8c-16g too, has a session of it" in out
    )


def test_what_ended_a_run_of_several_matrices_is_told_once(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.answers = [ended("edge-1", several(1, status=None, reason="it had not ended after 9 s", tail="the end"))]
    assert fleet() == 4
    out = capsys.readouterr().out
    assert (
        "edge-1:\n  it had not ended after 9 s; its log is /srv/pytest.log on the node\n  the last it printed:\n" in out
    )
    assert (out.count("it had not ended"), out.count("| the end"), out.count(": session ")) == (1, 1, 2)


def test_matrices_of_the_same_groups_are_told_apart(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    """Offered load and users of one server, say."""
    first, second = night(1), night(2)
    fleet.answers = [ended("edge-1", answer(
        msgspec.structs.replace(first, rows=first.rows[:2]), msgspec.structs.replace(second, rows=second.rows[2:])
    ))]  # fmt: skip
    assert fleet() == 0
    out = capsys.readouterr().out
    assert "edge-1, tiny-dummy.onnx.int8, now-1: session" in out
    assert "edge-1, tiny-dummy.onnx.int8, now-2: session" in out


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
