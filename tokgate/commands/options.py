"""Options that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


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
