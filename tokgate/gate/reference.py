"""What a session may be held against: the accepted sessions of its profile, on a machine that is the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tokgate.errors import InputError
from tokgate.gate.comparison import MAX_SESSIONS, sample_variance
from tokgate.gate.fingerprint import Difference, stable_differences
from tokgate.gate.history import Accepted, Baselines, StoredRow
from tokgate.gate.scale import fastest_half
from tokgate.gate.variance import ENOUGH_ROWS, NO_PRIOR, Prior, common_share, fit
from tokgate.session import Row, Session

Key = tuple[str, str]
# Rows to their session values, on the y scale, by session id.
_Known = dict[Key, dict[str, float]]


@dataclass(frozen=True)
class Past:
    """One row in one accepted session: its launches on the y scale."""

    entry: Accepted
    ys: list[float]


@dataclass(frozen=True)
class Reference:
    """`entries`: comparable sessions by scenario, oldest first; `refusals`: why a scenario has none.

    `priors`: by row, what is known of its variance before its own sessions are seen; `prior`: that of the suite's row.
    """

    baselines: Baselines
    entries: Mapping[str, list[Accepted]]
    refusals: Mapping[str, str]
    prior: Prior
    priors: Mapping[Key, Prior]

    def past(self, row: Row) -> list[Past]:
        """The accepted sessions that hold this row in the same unit and direction."""
        return [
            Past(entry, self.baselines.launch_ys[row.scenario, entry.id, row.metric])
            for entry in self.entries.get(row.scenario, ())
            if (stored := entry.rows.get(row.metric)) is not None
            and (stored.unit, stored.better) == (row.unit, row.better)
        ]

    def why_none(self, row: Row) -> str:
        """Why `past(row)` is empty."""
        if row.scenario in self.refusals:
            return self.refusals[row.scenario]
        stored = [entry.rows[row.metric] for entry in self.entries[row.scenario] if row.metric in entry.rows]
        if not stored:
            return f"the accepted sessions of {row.scenario} hold no {row.metric}; accept this session"
        return (
            f"accepted values are in {stored[-1].unit}, {stored[-1].better} is better, and this one is in "
            f"{row.unit}, {row.better} is better; accept anew with --replace"
        )

    def prior_of(self, row: Row) -> Prior:
        return self.priors.get(row.key, self.prior)

    def gated_keys(self) -> set[Key]:
        """The rows that the newest accepted session of their scenario gates."""
        return {
            (scenario, metric)
            for scenario, entries in self.entries.items()
            for metric, stored in (entries[-1].rows.items() if entries else ())
            if stored.gated
        }


def reference(session: Session, baselines: Baselines) -> Reference:
    """Selects what `session` may be compared with. Raises InputError if `baselines` are another machine's."""
    if session.machine_id != baselines.machine_id:
        raise InputError(
            f"session {session.id!r} is of machine {session.machine_id!r} and the baselines of "
            f"{baselines.machine_id!r}; judge it against its own, or say "
            f"--machine {baselines.machine_id} if it is that machine"
        )
    drifts: dict[str, list[Difference]] = {}
    for entry in baselines:
        if entry.id not in drifts:
            drifts[entry.id] = stable_differences(entry.fingerprint, session.machine)
    entries = {
        scenario: [
            entry
            for entry in stored
            if entry.profile == session.profile and not drifts[entry.id] and entry.id != session.id
        ][-MAX_SESSIONS:]
        for scenario, stored in baselines.scenarios.items()
    }
    refusals = {
        scenario: _refusal(session, scenario, baselines.scenarios.get(scenario, ()), drifts)
        for scenario in {row.scenario for row in session.rows}
        if not entries.get(scenario)
    }
    known = _session_values(baselines, entries, min(_launches(session).values(), default=1))
    own = _connected(known, {row.scenario for row in session.rows})
    return Reference(
        baselines, entries, refusals, _prior(_first_enough(own, known)), _priors(session, baselines, entries)
    )


def _priors(session: Session, baselines: Baselines, entries: Mapping[str, list[Accepted]]) -> dict[Key, Prior]:
    """Of each gated row, learned from those that were accepted with it: not from what this session happens to hold
    beside it, or a row screened with its group alone would be judged otherwise than beside all others.
    """
    launches = _launches(session)
    known = {count: _session_values(baselines, entries, count) for count in set(launches.values())}
    fitted: dict[tuple[int, frozenset[str], str], Prior] = {}
    found: dict[Key, Prior] = {}
    for row in session.rows:
        if not row.gated:
            continue
        count = launches[row.scenario]
        # Rows of the same accepted sessions have the same prior.
        like = count, frozenset(entry.id for entry in entries.get(row.scenario, ())), row.metric
        if like not in fitted:
            rows = known[count]
            own = _connected(rows, {row.scenario})
            fitted[like] = _prior(_first_enough(_of(own, row.metric), _of(rows, row.metric), own, rows))
        found[row.key] = fitted[like]
    return found


def _refusal(
    session: Session, scenario: str, stored: Iterable[Accepted], drifts: Mapping[str, list[Difference]]
) -> str:
    others = [entry for entry in stored if entry.id != session.id]
    same_profile = [entry for entry in others if entry.profile == session.profile]
    if same_profile:
        differences = ", ".join(map(str, drifts[same_profile[-1].id]))
        return (
            f"the machine differs from that of the accepted sessions: {differences}; put it back, or accept "
            "sessions of the machine as it is now"
        )
    if others:
        profiles = ", ".join(sorted({entry.profile for entry in others}))
        return (
            f"no accepted session of profile {session.profile!r} (accepted: {profiles}); accept one with tokgate accept"
        )
    return f"no accepted session of {scenario} on {session.machine_id}; accept at least 5 nights with tokgate accept"


def _launches(session: Session) -> dict[str, int]:
    """Scenario -> how many launches its gated rows have, the fewest of them."""
    found: dict[str, int] = {}
    for row in session.rows:
        if row.gated:
            found[row.scenario] = min(len(row.launches), found.get(row.scenario, len(row.launches)))
    return found


def _prior(known: _Known) -> Prior:
    """Fits the variances of these rows; in an order of its own, so that sums come out alike."""
    rows = [known[key] for key in sorted(known)]
    prior = fit([sample_variance(list(values.values())) for values in rows], [len(values) - 1 for values in rows])
    if prior is NO_PRIOR:
        return prior
    ids = sorted({name for values in rows for name in values})
    residuals = np.array([[values.get(name, math.nan) for name in ids] for values in rows])
    residuals -= np.nanmean(residuals, axis=1, keepdims=True)
    return Prior(prior.d0, prior.s0_squared, prior.d_total, common_share(residuals), len(ids))


def _session_values(baselines: Baselines, entries: Mapping[str, list[Accepted]], launches: int) -> _Known:
    """Of each gated row with two sessions or more: its session values on the y scale, by session id.

    Taking as many launches as the session has.
    """
    found: _Known = {}
    for scenario, stored in entries.items():
        newest = stored[-1].rows if stored else {}
        for metric, like in newest.items():
            if like.gated:
                values = {
                    entry.id: fastest_half(baselines.launch_ys[scenario, entry.id, metric][:launches])
                    for entry in stored
                    if (row := entry.rows.get(metric)) is not None and _alike(row, like)
                }
                if len(values) >= 2:
                    found[scenario, metric] = values
    return found


def _connected(known: _Known, scenarios: set[str]) -> _Known:
    """The rows that were measured in one session with one of these: those of the same matrix."""
    ids = {name for (scenario, _), values in known.items() if scenario in scenarios for name in values}
    return {key: values for key, values in known.items() if not ids.isdisjoint(values)}


def _of(known: _Known, metric: str) -> _Known:
    """Metrics differ in their noise by an order of magnitude: rows of another say little of a row's."""
    return {key: values for key, values in known.items() if key[1] == metric}


def _first_enough(*known: _Known) -> _Known:
    """The first that has rows enough to learn from, the nearest coming first; else the last."""
    return next((rows for rows in known if len(rows) >= ENOUGH_ROWS), known[-1])


def _alike(row: StoredRow, other: StoredRow) -> bool:
    return (row.unit, row.better) == (other.unit, other.better)
