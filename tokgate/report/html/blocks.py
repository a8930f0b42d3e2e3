"""What a page is made of: parts, of sections, of charts and tables. JSON-able; page.js draws them.

A part is what is shown at once: one session of several. Texts are plain text, and stay that in a browser.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Figure = dict[str, Any]


@dataclass(frozen=True)
class View:
    """One figure of a chart, and what each of the chart's selects must say to show it."""

    figure: Figure
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """`views`: the first is shown first. `selects` name the choices between them. `source`: the session files."""

    title: str
    views: Sequence[View]
    source: str
    note: str = ""
    selects: tuple[str, ...] = ()
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True)
class Key:
    """An entry of a legend: a colour's name, and the sign of a symbol."""

    name: str
    color: str
    sign: str


@dataclass(frozen=True)
class Charts:
    """Charts side by side that share their legend; one under the other on a phone. `selects`: those of all of them."""

    charts: Sequence[Chart]
    legend: Sequence[Key] = ()
    selects: tuple[str, ...] = ()
    kind: Literal["charts"] = "charts"


@dataclass(frozen=True)
class Column:
    """`number`: its cells sort by their value and stand right."""

    label: str
    number: bool = False
    title: str = ""


# Text; or the text of a number and the number that it sorts by, None where there is none.
Cell = str | tuple[str, float | None]
NOTHING: Cell = ("", None)


@dataclass(frozen=True)
class TableRow:
    """`mark`: a verdict, which colours its cell and can be chosen. `detail`: a key of the page's details.

    `why`: lines that are shown when the row is opened.
    """

    cells: Sequence[Cell]
    mark: str = ""
    detail: str = ""
    why: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """`name`: what its filter is called by, for those who do not see it."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[TableRow]
    source: str
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    lead: str
    blocks: Sequence[Chart | Charts | Table]


@dataclass(frozen=True)
class Finding:
    """Something that failed, or could not be seen. `tone`: a verdict, for its sign and colour. `more`: folded away."""

    tone: str
    title: str
    lines: Sequence[str] = ()
    more: Sequence[str] = ()


@dataclass(frozen=True)
class Facts:
    """A titled list of names and values."""

    title: str
    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Summary:
    """The first screen. `tone`: a verdict; `verdict`: in a word; `sentence`: in one sentence."""

    tone: str
    verdict: str
    sentence: str
    where: str
    findings: Sequence[Finding] = ()
    blind: Sequence[Finding] = ()
    notes: Sequence[str] = ()
    facts: Sequence[Facts] = ()


@dataclass(frozen=True)
class Part:
    label: str
    summary: Summary
    sections: Sequence[Section]


@dataclass(frozen=True)
class Page:
    """`details`: blocks that table rows open, by key. `shown`: the part that is shown first."""

    title: str
    parts: Sequence[Part]
    made: str
    shown: int = 0
    details: dict[str, Chart] = field(default_factory=dict)

    @classmethod
    def of_one(cls, title: str, summary: Summary, sections: Iterable[Section], made: str, **more: Any) -> Page:
        """A page with nothing to choose from; sections that have nothing to show are left out."""
        return cls(title, [Part(title, summary, [section for section in sections if section.blocks])], made, **more)
