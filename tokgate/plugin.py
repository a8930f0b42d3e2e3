"""The pytest hooks of tokgate, and nothing else: options, items, reports. The work is in run.py and report/."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tokgate.asking import check_options
from tokgate.errors import TokgateError
from tokgate.options import DEFAULT_PAIRS, LEAST_PAIRS
from tokgate.perf import Perf
from tokgate.scenario import Scenario

PERF = pytest.StashKey[Perf]()
_EXPECTED_ROWS = "tokgate_expected_rows"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tokgate", "tokgate: performance tests of LLM inference")
    group.addoption(
        "--perf-profile",
        default="quick",
        metavar="NAME",
        help="how much is measured: quick (default) or nightly; a profile is judged against its own sessions",
    )
    group.addoption(
        "--perf-model",
        default="auto",
        metavar="MODEL",
        help="auto (default: the pinned hub snapshot if cached or reachable, else dummy weights), dummy, "
        "a shape of scenarios/models/ such as tiny, org/name@<40 hex revision>, or a directory",
    )
    group.addoption("--perf-select", metavar="NAME", help="only the rows of a selection, such as ens")
    group.addoption("--perf-require-baseline", action="store_true", help="a row without accepted sessions fails")
    group.addoption("--perf-strict", action="store_true", help="an INCONCLUSIVE row fails")
    group.addoption(
        "--perf-baselines", default="baselines", metavar="DIR", help="where accepted sessions are (read only)"
    )
    group.addoption(
        "--perf-sessions",
        default=".tokgate/sessions",
        metavar="DIR",
        help="where this run's session file goes",
    )
    group.addoption("--perf-machine", metavar="ID", help="judge as this machine instead of the one found")
    group.addoption(
        "--perf-python",
        default=sys.executable,
        metavar="PYTHON",
        help="the interpreter that builds and measures (default: this one)",
    )
    group.addoption(
        "--perf-reference",
        metavar="PYTHON",
        help="the accepted environment: what the accepted sessions leave open is measured in pairs with it",
    )
    group.addoption(
        "--perf-set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="measure the rows with another setting of the engine (enforce_eager=true), to see what it costs: judged, "
        "and never accepted; with --perf-reference the reference does without",
    )
    group.addoption(
        "--perf-pairs",
        type=int,
        default=DEFAULT_PAIRS,
        metavar="N",
        help=f"how many pairs, at least {LEAST_PAIRS} (default: {DEFAULT_PAIRS})",
    )
    group.addoption(
        "--perf-base-url",
        metavar="URL",
        help="measure serving rows on the server that is there (any OpenAI-compatible one), past any proxy; needs "
        "--perf-machine",
    )
    group.addoption("--perf-served-model", metavar="NAME", help="its model, if it serves several")
    group.addoption("--perf-api-key-env", metavar="NAME", help="the environment variable that holds its key")
    group.addoption(
        "--perf-trace",
        action="store_true",
        help="trace one round of each vLLM row afterwards, and print where its time went",
    )
    group.addoption(
        "--perf-report", metavar="FILE", help="write an HTML report when all is measured, as .tokgate/report.html"
    )
    group.addoption(
        "--perf-load-workers",
        type=int,
        default=0,
        metavar="N",
        help="drive users with a Locust master and N workers (default: 0, one process)",
    )
    group.addoption("--perf-cache", metavar="DIR", help="where models are built (default: the user's cache)")
    group.addoption(
        "--perf-lock-timeout",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="how long to wait for another run on this device (default: 3600)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    command = shlex.join(["pytest", *(str(arg) for arg in config.invocation_params.args)])
    if config.option.markexpr != "unit":
        # Its summary imports all of hypothesis, 1.3 s, though no measuring test uses it.
        config.pluginmanager.unregister(name="hypothesispytest")
    try:
        check_options(config.option)
    except TokgateError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[PERF] = Perf(config.option, config.rootpath, command, _console_writer(config))
    config.pluginmanager.register(_ReasonOnce())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m cpu`, `-m "gpu or serving"` and the like read no folder of tests/ that is named as another marker: it holds
    what that one chooses, and its matrix may not have what the options ask for.

    Other folders may hold anything, so they are read; all are where something is left out by `not`, or where a marker
    is chosen that has no folder.
    """
    tests = config.rootpath / "tests"
    words = set(re.findall(r"\w+", str(config.option.markexpr)))
    if collection_path.parent != tests or collection_path.name in words or "not" in words:
        return None
    markers = {re.split(r"\W", line, maxsplit=1)[0] for line in config.getini("markers")}
    chosen = words & markers
    if not chosen or not all((tests / marker).is_dir() for marker in chosen):
        return None
    return True if collection_path.name in markers and collection_path.is_dir() else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("matrix")
    if marker is None or "scenario" not in metafunc.fixturenames:
        return
    perf, file = metafunc.config.stash[PERF], marker.args[0]
    try:
        scenarios = perf.scenarios(file)
        why = "" if scenarios else perf.no_rows(file)
        # In a gate the accepted sessions say whether it should have some: see fixtures/measuring.py.
        skipped = not metafunc.config.option.perf_require_baseline
    except TokgateError as error:
        why, skipped = str(error), True
        if _is_xdist_worker(metafunc.config):
            raise pytest.Collector.CollectError(why) from None
        # Refused once, when all is collected.
        perf.refuse(why, file)
    if why:
        marks = [pytest.mark.skip(reason=why)] if skipped else []
        metafunc.parametrize("scenario", [pytest.param(None, id="no-rows", marks=marks)])
    else:
        metafunc.parametrize("scenario", scenarios, ids=[scenario.id for scenario in scenarios])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Rows come first, then the comparisons of what they gave, then suites: also where a plugin put them otherwise.

    Raises UsageError where a matrix refused the options, though `-k` may have left it out: the run would be green
    without it, whether that was meant or not.
    """
    items.sort(key=_turn)
    perf = config.stash[PERF]
    if perf.refusals:
        raise pytest.UsageError(*perf.refusals)
    perf.expects_rows = any(item.get_closest_marker("matrix") for item in items)
    rows = [(item, scenario) for item in items if (scenario := scenario_of(item)) is not None]
    files = [(matrix_of(item), scenario) for item, scenario in rows]
    elsewhere = perf.measured_elsewhere(files, {matrix_of(item): item.path for item, _ in rows})
    for item, scenario in rows:
        file = matrix_of(item)
        if (owner := elsewhere.get((file, scenario.id))) is not None:
            reason = f"{owner} has this row too, and measures it; to measure it by {file}, name its test module alone"
            item.add_marker(pytest.mark.skip(reason=reason))
        else:
            perf.select(file, scenario)
            # The clock replays recorded durations into pytest-benchmark, see fixtures/publishing.py.
            item.add_marker(pytest.mark.benchmark(timer=perf.clock(scenario), group=scenario.group.id))


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: Any, output_json: dict[str, Any]) -> None:
    sessions = config.stash[PERF].session_data()
    if sessions:
        output_json["tokgate"] = sessions[0] if len(sessions) == 1 else sessions


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    config.stash[PERF].report(terminalreporter)


class _ReasonOnce:
    """Around pytest's summary: what tokgate's lines tell in it is not listed again for each row that it concerns.

    Only what is printed is less: the counts of the last line, the exit status and JUnit's file are as ever.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> Generator[None]:
        reports = terminalreporter.stats
        whole = dict(reports)
        reports.update(config.stash[PERF].left_to_list(whole))
        try:
            return (yield)
        finally:
            reports.update(whole)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    perf = session.config.stash[PERF]
    perf.finish(interrupted=session.exitstatus == pytest.ExitCode.INTERRUPTED or bool(session.shouldstop))
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_EXPECTED_ROWS] = perf.expects_rows
    asked = perf.expects_rows and not session.config.option.collectonly
    if asked and not perf.has_rows and session.exitstatus == pytest.ExitCode.OK:
        # Every item was skipped: for memory, by an option. Whoever reads the status must not take it for a pass.
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """pytest-xdist's controller collects nothing itself; its status must know what its workers were asked for."""
    if getattr(node, "workeroutput", {}).get(_EXPECTED_ROWS):
        node.config.stash[PERF].expects_rows = True


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """A terminated run ends as an interrupted one: its workers die and its finished launches are kept."""
    if session.config.option.markexpr != "unit":
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def perf(request: pytest.FixtureRequest) -> Perf:
    """The measuring run: see tokgate.perf."""
    return request.config.stash[PERF]


def scenario_of(item: pytest.Item) -> Scenario | None:
    callspec = getattr(item, "callspec", None)
    scenario = callspec.params.get("scenario") if callspec else None
    return scenario if isinstance(scenario, Scenario) else None


def matrix_of(item: pytest.Item) -> str:
    marker = item.get_closest_marker("matrix")
    assert marker is not None, f"{item.nodeid} needs @pytest.mark.matrix('file.toml')"
    return str(marker.args[0])


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("suite") is not None:
        return 2
    compares = item.get_closest_marker("matrix") is not None and "scenario" not in getattr(item, "fixturenames", ())
    return 1 if compares else 0


def _is_xdist_worker(config: pytest.Config) -> bool:
    """A worker has no terminal, and its controller takes a UsageError for a crash of pytest."""
    return hasattr(config, "workerinput")


def _console_writer(config: pytest.Config) -> Any:
    """Gives the terminal back for the time of a `with`, whatever capture is on."""
    capture = config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled if capture else None
