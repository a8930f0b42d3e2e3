"""Which side of its mark a label stands at, so that labels and marks that lie close do not cover each other. Pure."""

from __future__ import annotations

from collections.abc import Sequence

# Where a label's middle lies from its mark's, in pixels to the right and up, in plotly's words; the first is preferred.
_SIDES = {
    "top center": (0, 15),
    "middle right": (20, 0),
    "middle left": (-20, 0),
    "bottom center": (0, -15),
}
# Half of a label's and of a mark's extent, to the right and up: "#12" in 12 px, and a mark of 11 px.
_LABEL = (11.0, 7.0)
_MARK = (7.0, 7.0)


def sides(marks: Sequence[tuple[float, float]]) -> list[str]:
    """A plotly textposition for each mark's label. `marks`: where they lie, in pixels to the right and up.

    Each takes the first side that covers no mark and no label before it, or the preferred one where all do.
    """
    taken: list[tuple[float, float]] = []
    chosen = []
    for number, (right, up) in enumerate(marks):
        others = [mark for other, mark in enumerate(marks) if other != number]
        free = (
            side
            for side, (along, above) in _SIDES.items()
            if not _covers((right + along, up + above), others, _MARK)
            and not _covers((right + along, up + above), taken, _LABEL)
        )
        side = next(free, next(iter(_SIDES)))
        along, above = _SIDES[side]
        taken.append((right + along, up + above))
        chosen.append(side)
    return chosen


def _covers(label: tuple[float, float], things: Sequence[tuple[float, float]], extent: tuple[float, float]) -> bool:
    return any(
        abs(label[0] - right) < _LABEL[0] + extent[0] and abs(label[1] - up) < _LABEL[1] + extent[1]
        for right, up in things
    )
