"""`tokgate summary`: stored sessions' verdicts as a CI run shows them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokgate.commands import options
from tokgate.errors import InputError, TokgateError

if TYPE_CHECKING:
    from tokgate.judging import Judged

FORMS = ("markdown", "annotations", "issue")


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "summary",
        help="verdicts as Markdown, GitHub annotations or an issue's text; its exit status is no verdict",
        description="Exits with 0 whatever the verdict, and with 2 for a file that cannot be used: the verdict is "
        "that of the run, or of tokgate judge.",
    )
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="as of tokgate judge; none says that nothing was measured"
    )
    parser.add_argument("--machine", metavar="ID", help="judge as this machine; required for vllm bench serve")
    parser.add_argument("--as", dest="form", choices=FORMS, default="markdown", help="default: markdown")
    parser.add_argument("--link", metavar="URL", help="where the run can be seen, for an issue")
    parser.add_argument("--require-baseline", action="store_true", help="a row without accepted sessions is an error")
    parser.add_argument("--strict", action="store_true", help="an inconclusive row is an error")
    options.add_baselines(parser, or_own=True)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    from tokgate.report import github

    # Without a file nothing is held against baselines.
    sessions, refusal = _judged(args) if args.files else ([], None)
    if refusal is not None and not sessions:
        return refusal.exit_status
    if args.form == "annotations":
        print("\n".join(github.annotation_lines(sessions, args.require_baseline, args.strict)))
    elif args.form == "issue":
        print(github.issue(sessions, args.link))
    else:
        print(github.step_summary(sessions))
    return refusal.exit_status if refusal is not None else 0


def _judged(args: argparse.Namespace) -> tuple[list[Judged], TokgateError | None]:
    """The files that can be used, and why the last of the others cannot."""
    from tokgate.judging import judge_files

    sessions: list[Judged] = []
    refusal: TokgateError | None = None
    try:
        shelf = options.shelf(args)
    except InputError as error:
        _tell(error, args.form)
        return sessions, error
    for judged in judge_files(args.files, shelf, args.machine):
        if isinstance(judged, InputError):
            _tell(judged, args.form)
            refusal = judged
        else:
            sessions.append(judged)
    return sessions, refusal


def _tell(error: TokgateError, form: str) -> None:
    from tokgate.report.markdown import command

    print(f"tokgate: {error}", file=sys.stderr)
    if form == "annotations":
        print(command("error", "tokgate", str(error)))
