"""Options that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_baselines(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--baselines", type=Path, default=Path("baselines"), metavar="DIR", help="default: baselines")
