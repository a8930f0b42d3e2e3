"""Where a session comes from: its name, the commit, the interpreters, and what explains a figure later."""

from __future__ import annotations

import datetime
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokgate.environment import environment
from tokgate.gate.served import served_figures, told_of
from tokgate.launch import LaunchRecord
from tokgate.launcher import Setting
from tokgate.options import Options
from tokgate.result import GroupResult
from tokgate.roofline import best_peaks, host_speed
from tokgate.samples import left_out


def session_id(started: datetime.datetime, machine_id: str, profile: str) -> str:
    return f"{started:%Y%m%dT%H%M%SZ}-{machine_id}-{profile}-{secrets.token_hex(2)}"


def git_state(folder: Path) -> dict[str, Any]:
    """Commit and whether the tree was clean, where `folder` is a git checkout; else nothing."""

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    if commit is None:
        return {}
    return {"commit": commit, "clean": git("status", "--porcelain") == ""}


def provenance(options: Options, setting: Setting) -> dict[str, Any]:
    """What was asked for, from which commit, and what the candidate was paired with, if anything."""
    again = shlex.join(options.again)
    told = {"command": options.command, "again": again, "selection": options.selection, **git_state(Path.cwd())}
    if setting.reference is not None:
        found = environment(setting.reference)
        told["reference"] = {"python": found.python, "software": dict(found.software), "pairs": setting.pairs}
    return told


def measured(results: list[GroupResult]) -> dict[str, dict[str, float]]:
    """What the machine itself reached beside the rows, as its fingerprint's "measured"; {} where that is not known."""
    peaks = best_peaks(record.peaks for result in results for record in result.own_launches)
    found = {**peaks, **host_speed(_rounds(results))}
    return {"measured": found} if found else {}


def telemetry(results: list[GroupResult]) -> dict[str, Any]:
    """What explains a figure later: launch times, engine, build, and each round's use of the machine."""
    served = _served(results)
    return {
        **({"served": served} if served else {}),
        "python": sys.version.split()[0],
        "measured_s": sum(result.measured_s for result in results),
        "groups": {result.group.id: _group(result) for result in results},
    }


def _served(results: list[GroupResult]) -> dict[str, dict[str, float]]:
    """Scenario -> what its server, or its engine, told of itself in the rounds that count."""
    rounds: dict[str, list[dict[str, Any]]] = {}
    for event in _rounds(results):
        told = {**told_of(event), "rate": event.get("rate")}
        if any(value is not None for value in told.values()) and event["disturbed"] is None:
            rounds.setdefault(event["scenario"], []).append(told)
    return {scenario: served_figures(told) for scenario, told in rounds.items()}


def _rounds(results: list[GroupResult]) -> list[dict[str, Any]]:
    """Their events, those that do not count too."""
    return [event for result in results for record in result.own_launches for event in record.events]


def _group(result: GroupResult) -> dict[str, Any]:
    told = {"engine": result.engine, "build": result.artifact, "launches": _launches(result.own_launches)}
    if result.references:
        told["reference_engine"] = result.references[0].engine
        told["reference_launches"] = _launches(result.references)
    notes = [*result.notes, *left_out(result.group, result.launches or result.candidates)]
    return {**told, "notes": notes} if notes else told


def _launches(records: Iterable[LaunchRecord]) -> list[dict[str, Any]]:
    return [
        {
            "load_s": record.load_s,
            "compiled": record.compiled,
            "load_peak_bytes": record.load_peak_bytes,
            "discarded_s": record.discarded_s,
            "total_s": record.total_s,
            "measured_s": record.measured_s,
            "disturbed": record.disturbed,
            "rounds": record.events,
        }
        for record in records
    ]
