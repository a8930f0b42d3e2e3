"""What the parsers of several commands share: options, and how an unknown one is refused."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


class CommandParser(argparse.ArgumentParser):
    """Refuses what it does not know with its own usage; argparse leaves that to the topmost parser, and its usage.

    A command that passes on what it does not know itself, as `fleet` does to pytest, has the default `passes_on`.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, unknown = super().parse_known_args(args, namespace)
        if unknown and not getattr(known, "passes_on", False):
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def add_baselines(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--baselines", type=Path, default=Path("baselines"), metavar="DIR", help="default: baselines")


def add_cache(parser: argparse._ActionsContainer) -> None:
    """To a parser or a group of its options."""
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where models are built (default: the user's cache)")


def add_lock_timeout(parser: argparse._ActionsContainer) -> None:
    """To a parser or a group of its options."""
    parser.add_argument(
        "--lock-timeout",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="how long to wait for another run on this device (default: 3600)",
    )
