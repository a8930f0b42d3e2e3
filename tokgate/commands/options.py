"""What the parsers of several commands share: options, and how an unknown one is refused."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokgate.errors import InputError

if TYPE_CHECKING:
    from tokgate.baselines import Shelf

_LAST_PORT = 65535

_HERE = Path("baselines")
# Of the checkout that tokgate is run from; an installed package has none.
OWN_BASELINES = Path(__file__).resolve().parents[2] / "baselines"


class CommandParser(argparse.ArgumentParser):
    """Refuses what it does not know with its own usage; argparse leaves that to the topmost parser, and its usage.

    A command that passes on what it does not know itself, as `fleet` does to pytest, has the default `passes_on`.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, unknown = super().parse_known_args(args, namespace)
        if unknown and not getattr(known, "passes_on", False):
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def port(text: str) -> int:
    """A TCP port as a parser's `type`: 0, a free one, to 65535. What is beyond would be taken modulo 65536."""
    if text.isascii() and text.isdigit() and int(text) <= _LAST_PORT:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: expected a port, 1 to {_LAST_PORT}, or 0 for a free one")


def add_baselines(parser: argparse.ArgumentParser, *, or_own: bool = False) -> None:
    """`or_own`: tokgate's own are taken where none is named and there is no folder of them here; `shelf` finds them."""
    told = str(_HERE)
    if or_own and OWN_BASELINES.is_dir():
        told = f"{_HERE}, or tokgate's own where there is none here"
    default = None if or_own else _HERE
    parser.add_argument("--baselines", type=_folder, default=default, metavar="DIR", help=f"default: {told}")


def shelf(args: argparse.Namespace, *, or_empty: bool = False) -> Shelf:
    """The baselines of `add_baselines(parser, or_own=True)`. Tokgate's own are told on standard error.

    Raises InputError where there is no such folder; but with `or_empty`, for what judges nothing, where none was named.
    """
    from tokgate.baselines import Shelf

    folder = args.baselines
    if folder is None:
        folder = OWN_BASELINES if OWN_BASELINES.is_dir() and not _HERE.exists() else _HERE
        if or_empty and not folder.exists():
            return Shelf(folder)
    if not folder.is_dir():
        # Held against nothing, anything would pass.
        raise InputError(
            f"there is no folder {folder}, so nothing to compare with; name that of the accepted sessions, "
            "or an empty one where nothing is accepted yet: --baselines DIR"
        )
    if folder == OWN_BASELINES:
        print(f"tokgate: held against its own baselines, {folder}", file=sys.stderr)
    return Shelf(folder)


def add_cache(parser: argparse._ActionsContainer) -> None:
    """To a parser or a group of its options."""
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where models are built (default: the user's cache)")


def add_lock_timeout(parser: argparse._ActionsContainer) -> None:
    """To a parser or a group of its options."""
    parser.add_argument(
        "--lock-timeout",
        type=_waiting_s,
        default=3600.0,
        metavar="SECONDS",
        help="how long to wait for another run on this device (default: 3600)",
    )


def _waiting_s(text: str) -> float:
    """Not below 0, where it would not be waited at all, nor nan, where for ever."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not found >= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, 0 or more")
    return found


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("its text is empty; expected a folder")
    return Path(text)
