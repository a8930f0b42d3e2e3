from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tokgate.errors import MeasurementError
from tokgate.models.cache import MANIFEST, Cache, default_cache_root

pytestmark = pytest.mark.unit


def build(folder: Path) -> dict[str, object]:
    (folder / "sub").mkdir()
    (folder / "weights").write_bytes(b"w" * 1000)
    (folder / "sub" / "more").write_bytes(b"m")
    return {"answer": 42}


def silent(_: str) -> None:
    pass


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if not path.name.endswith(".lock")]


def test_the_root_follows_the_platforms_convention() -> None:
    assert default_cache_root({"XDG_CACHE_HOME": "/somewhere"}) == Path("/somewhere/tokgate")
    assert default_cache_root({}) == Path.home() / ".cache" / "tokgate"


def test_an_entry_is_built_once_and_found_afterwards(tmp_path: Path) -> None:
    cache, built = Cache(tmp_path / "new" / "root"), []

    def counted(folder: Path) -> dict[str, object]:
        built.append(folder)
        return build(folder)

    first, second = cache.get("a.b", counted, silent), cache.get("a.b", counted, silent)
    assert first == second == cache.find("a.b")
    assert first.meta == {"answer": 42}
    assert len(built) == 1
    assert leftovers(cache.root) == ["a.b"]


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest"])
def test_an_entry_that_is_not_whole_is_built_again(tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path)
    path = cache.get("a", build, silent).path
    if damage == "truncate":
        os.truncate(path / "weights", 999)
    elif damage == "remove":
        (path / "sub" / "more").unlink()
    else:
        (path / MANIFEST).write_text("{")
    assert cache.find("a") is None
    cache.get("a", build, silent)
    assert cache.find("a") is not None


def test_a_link_whose_target_is_gone_is_noticed(tmp_path: Path) -> None:
    cache, target = Cache(tmp_path / "root"), tmp_path / "snapshot"
    target.write_text("weights")

    def link(folder: Path) -> dict[str, object]:
        (folder / "model").symlink_to(target)
        return {}

    cache.get("a", link, silent)
    assert cache.find("a") is not None
    target.unlink()
    assert cache.find("a") is None


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    def fill(folder: Path) -> dict[str, object]:
        build(folder)
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
        return {}

    cache = Cache(tmp_path)
    with pytest.raises(MeasurementError, match=r"the disk is full .* a was not built: make room"):
        cache.get("a", fill, silent)
    assert leftovers(tmp_path) == []
    assert cache.get("a", build, silent).meta == {"answer": 42}


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> dict[str, object]:
        build(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).get("a", fail, silent)
    assert leftovers(tmp_path) == []


KILLED = """
import sys, time
from pathlib import Path
from tokgate.models.cache import Cache
def build(folder):
    (folder / "weights").write_bytes(b"half")
    print("building", flush=True)
    time.sleep(600)
Cache(Path(sys.argv[1])).get(sys.argv[2], build, print)
"""


def start_build(root: Path, name: str) -> subprocess.Popen[str]:
    """A process in the middle of building an entry."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(root), name],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "building\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_killed_build_leaves_nothing_that_is_believed_and_the_next_cleans_up(tmp_path: Path) -> None:
    kill(start_build(tmp_path, "mine"))
    kill(start_build(tmp_path, "other"))
    cache = Cache(tmp_path)
    assert cache.find("mine") is None
    assert len(leftovers(tmp_path)) == 1, "the second build had removed what the first left"
    cache.get("mine", build, silent)
    assert leftovers(tmp_path) == ["mine"]


def test_a_build_on_its_way_is_waited_for_and_let_be(tmp_path: Path) -> None:
    running = start_build(tmp_path, "slow")
    said: list[str] = []
    try:
        Cache(tmp_path).get("quick", build, silent)
        assert len(leftovers(tmp_path)) == 2, "the folder of the build on its way is still there"
        with pytest.raises(MeasurementError, match=r"slow is still being built .* after 0 s"):
            Cache(tmp_path).get("slow", build, said.append, timeout_s=0.2)
        assert said == ["slow: another process is building it; waiting (up to 0 s)"]
        waiting = threading.Event()
        waiter = threading.Thread(
            target=lambda: Cache(tmp_path).get("slow", build, lambda _: waiting.set(), timeout_s=60)
        )
        waiter.start()
        assert waiting.wait(30)
    finally:
        kill(running)
    waiter.join(60)
    assert Cache(tmp_path).find("slow") is not None


def _build_and_log(root: Path, log: Path) -> None:
    def logged(folder: Path) -> dict[str, object]:
        with log.open("a") as file:
            file.write("built\n")
        time.sleep(0.2)  # long enough for the others to come upon the lock
        return build(folder)

    Cache(root).get("a", logged, silent)


def test_of_builds_at_once_one_builds(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    processes = [context.Process(target=_build_and_log, args=(tmp_path / "root", log)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert log.read_text() == "built\n"
