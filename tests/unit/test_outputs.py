"""What is to be written at the end of long work is tried before it begins, and nothing stays of that."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tokgate.errors import InputError
from tokgate.outputs import check_file, check_folder

pytestmark = pytest.mark.unit

_NOBODY = 65534


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["new.html", "there.html", "deep/er/new.html", "./new.html"])
@pytest.mark.parametrize("appended", [False, True])
def test_what_can_be_written_is_let_pass_and_left_as_it_is(tmp_path: Path, name: str, appended: bool) -> None:
    (tmp_path / "there.html").write_text("kept")
    check_file("-o", tmp_path / name, appended=appended)
    check_folder("--out", tmp_path / "deep" / "er")
    check_folder("--out", tmp_path)
    assert tree(tmp_path) == ["there.html"]
    assert (tmp_path / "there.html").read_text() == "kept"


def test_a_file_in_the_current_folder_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_file("-o", Path("page.html"))
    check_folder("--out", Path("new"))
    assert tree(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder", "that is a folder"),
        ("to-folder", "that is a folder"),
        ("to-pipe", "that is no regular file"),
        ("to-nowhere", "it cannot be written: No such file or directory"),
        ("to-itself", "it cannot be written: Too many levels of symbolic links"),
        ("", "that is a folder"),
        ("pipe", "that is no regular file"),
        ("file/page.html", "it cannot be written: Not a directory"),
        ("file/deep/page.html", "it cannot be written: Not a directory"),
        ("nowhere/page.html", "it cannot be written: No such file or directory"),
        ("n" * 250 + ".html", "it cannot be written: File name too long"),
    ],
)
@pytest.mark.parametrize("appended", [False, True])
def test_what_cannot_be_written_is_refused_by_the_options_name(
    tmp_path: Path, name: str, said: str, appended: bool
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "to-nowhere").symlink_to(tmp_path / "gone" / "page.html")
    (tmp_path / "to-itself").symlink_to(tmp_path / "to-itself")
    (tmp_path / "to-folder").symlink_to(tmp_path / "folder")
    (tmp_path / "to-pipe").symlink_to(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe")
    before = tree(tmp_path)
    with pytest.raises(InputError) as refused:
        check_file("--perf-report", tmp_path / name, appended=appended)
    assert str(refused.value).startswith(f"--perf-report {tmp_path / name}: {said}; expected the name of a file")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("name", "why"), [("file", "Not a directory"), ("file/deep", "Not a directory")])
def test_a_folder_that_gets_no_file_is_refused(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"^--out {tmp_path / name}: no file can be written there: {why}; expected"):
        check_folder("--out", tmp_path / name)


def test_a_folder_that_even_root_cannot_write_to_is_refused(tmp_path: Path) -> None:
    """Permissions do not tell: they would let root pass."""
    for nowhere in (Path("/proc/self/new"), Path("/proc/self")):
        with pytest.raises(InputError, match="expected"):
            check_folder("--out", nowhere)
        with pytest.raises(InputError, match="it cannot be written"):
            check_file("-o", nowhere / "page.html")


@contextmanager
def not_root() -> Iterator[None]:
    """Root may write everywhere, so it is nobody for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_folder_of_others_is_refused() -> None:
    # Not below pytest's own folder, which others may not enter.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o555)
        with not_root():
            assert list(folder.iterdir()) == [], "it can be read"
            with pytest.raises(InputError, match=f"^-o {folder}/page.html: it cannot be written: Permission denied;"):
                check_file("-o", folder / "page.html")
            with pytest.raises(InputError, match=f"^--out {folder}: no file can be written there: Permission denied;"):
                check_folder("--out", folder)


@pytest.mark.parametrize("appended", [False, True])
def test_a_link_to_a_file_or_to_where_one_can_be_is_let_pass(tmp_path: Path, appended: bool) -> None:
    (tmp_path / "there.html").write_text("kept")
    (tmp_path / "link").symlink_to("there.html")
    (tmp_path / "link-to-link").symlink_to("link")
    (tmp_path / "link-to-new").symlink_to("new.html")
    before = tree(tmp_path)
    for name in ("link", "link-to-link", "link-to-new"):
        check_file("-o", tmp_path / name, appended=appended)
    assert tree(tmp_path) == before
    assert (tmp_path / "there.html").read_text() == "kept"


def test_a_link_of_the_system_is_refused_whatever_it_leads_to(tmp_path: Path) -> None:
    """As -o /dev/stdout > page.html, where its end is a regular file: what is open elsewhere, or the link, is lost."""
    with (tmp_path / "page.html").open("w") as opened:
        of_the_process = Path(f"/proc/self/fd/{opened.fileno()}")
        (tmp_path / "link").symlink_to(of_the_process)
        (tmp_path / "link-to-link").symlink_to("link")
        (tmp_path / "new-device").symlink_to("/dev/tokgate-new")
        for link in (of_the_process, *(tmp_path / name for name in ("link", "link-to-link", "new-device"))):
            with pytest.raises(InputError, match=f"^-o {re.escape(str(link))}: that is a link into /proc or /dev; exp"):
                check_file("-o", link)
        check_file("-o", of_the_process, appended=True)


def test_a_character_device_can_be_appended_to_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    for device in (Path("/dev/null"), tmp_path / "link"):
        check_file("--result-filename", device, appended=True)
        with pytest.raises(InputError, match="that is no regular file"):
            check_file("--result-filename", device)


def test_a_link_in_dev_shm_leads_to_an_ordinary_file(tmp_path: Path) -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm to write to")
    (tmp_path / "link").symlink_to(f"/dev/shm/tokgate-{os.getpid()}.html")
    check_file("-o", tmp_path / "link")
