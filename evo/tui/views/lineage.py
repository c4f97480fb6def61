"""The family as a tree: each variant under its first parent, and a crossover once more, as a line
that leads there, under its second.

The tree is a flat list of lines, so that of 10,000 variants only those in sight cost anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len

from evo.nouns import Favour
from evo.report import words
from evo.tui.views.filtering import Get, parse
from evo.tui.views.plotting import Piece, fitted
from evo.tui.views.snapshot import Row, Snapshot, failed

DEEPEST = 14
"""Levels that are drawn at most; of deeper ones only the last, after their number."""
TEXT_CELLS = 48
"""Of a line, that levels leave to what it says."""
OPEN_VARIANTS = 150
"""A family that is larger begins with everything folded that doesn't lead to the champion."""
COLUMNS = (
    "id",
    "title",
    "operator",
    "role",
    "model",
    "status",
    "effect",
    "score",
    "trials",
    "kept",
    "favour",
)
SEARCHED = ("title", "operator", "id")

FAVOURS = {str(Favour.PINNED): ("pinned ", "info"), str(Favour.BANNED): ("banned ", "bad")}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tree."""

    row: Row
    depth: int
    rails: tuple[bool, ...]
    """For each level above, whether a sibling follows further down."""
    last: bool
    """Whether no sibling follows."""
    children: int
    folded: bool
    hidden: int
    """Descendants that a fold hides."""
    dimmed: bool
    """Only here because somebody below matches the filter."""
    under: int | None = None
    """The second parent below whom this only says where the variant stands; else None."""


class Family:
    """The tree of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.path = frozenset(snapshot.path)
        self._children: dict[int, list[int]] = {}
        self._crossed: dict[int, list[int]] = {}
        for row in snapshot.rows:
            if row.parents:
                self._children.setdefault(row.parents[0], []).append(row.id)
            for parent in row.parents[1:]:
                self._crossed.setdefault(parent, []).append(row.id)
        for children in self._children.values():
            children.sort(key=lambda child: (child not in self.path, child))
        self._sizes = self._count()

    def _count(self) -> dict[int, int]:
        """Descendants along first parents. A parent is older than its child."""
        sizes = {row.id: 0 for row in self.snapshot.rows}
        for row in reversed(self.snapshot.rows):
            if row.parents and row.parents[0] in sizes:
                sizes[row.parents[0]] += sizes[row.id] + 1
        return sizes

    def children(self, variant: int) -> tuple[int, ...]:
        """Variants whose diff is against this one, and then those that it was crossed into."""
        return (*self._children.get(variant, ()), *self._crossed.get(variant, ()))

    def first_folds(self) -> frozenset[int]:
        """What is folded when a family is seen for the first time."""
        if len(self.snapshot.rows) <= OPEN_VARIANTS:
            return frozenset()
        return self.foldable() - self.path

    def foldable(self) -> frozenset[int]:
        """Everything that has children."""
        return frozenset(self._children) | frozenset(self._crossed)

    def ancestors(self, variant: int) -> list[int]:
        """Along first parents, the nearest first."""
        found: list[int] = []
        row = self.snapshot.row(variant)
        while row is not None and row.parents:
            found.append(row.parents[0])
            row = self.snapshot.row(row.parents[0])
        return found

    def lines(self, folded: Iterable[int] = (), query: str = "") -> list[Line]:
        """The lines that are to be seen, from the top down.

        Args:
            folded: Variants whose descendants are hidden. A filter opens everything.
            query: See `filtering`; matches are shown with their ancestors.

        Raises:
            FilterError: The query makes no sense.
        """
        shown = self._matching(query) if query.strip() else None
        shut = frozenset() if shown is not None else frozenset(folded)
        roots = [row.id for row in self.snapshot.rows if not row.parents]
        found: list[Line] = []
        stack: list[tuple[int, int, tuple[bool, ...], bool, int | None]] = [
            (root, 0, (), at == len(roots) - 1, None)
            for at, root in reversed(list(enumerate(roots)))
        ]
        while stack:
            variant, depth, rails, last, under = stack.pop()
            row = self.snapshot.row(variant)
            assert row is not None
            if shown is not None and variant not in shown:
                continue
            children = self.children(variant) if under is None else ()
            if shown is not None:
                children = tuple(child for child in children if child in shown)
            shuts = variant in shut and bool(children)
            found.append(
                Line(
                    row, depth, rails, last, len(children), shuts,
                    self._sizes[variant] if shuts else 0,
                    shown is not None and not shown[variant],
                    under,
                )
            )  # fmt: skip
            if not shuts:
                below = (*rails, not last) if depth else ()
                own = set(self._children.get(variant, ()))
                for at in range(len(children) - 1, -1, -1):
                    child = children[at]
                    under = None if child in own else variant
                    stack.append((child, depth + 1, below, at == len(children) - 1, under))
        return found

    def _matching(self, query: str) -> dict[int, bool]:
        """Variants to be shown, and whether they match themselves."""
        keep = parse(query, COLUMNS, SEARCHED)
        found: dict[int, bool] = {}
        for row in self.snapshot.rows:
            if keep(_getter(row)):
                found[row.id] = True
                for ancestor in self.ancestors(row.id):
                    if ancestor in found:
                        break
                    found[ancestor] = False
        return found

    def find(self, text: str, after: int | None, *, forward: bool = True) -> int | None:
        """The next variant after one, by id and around the end, whose line has a text in it."""
        rows = self.snapshot.rows
        keep = parse(text, COLUMNS, SEARCHED)
        start = (
            rows.index(found) if after is not None and (found := self.snapshot.row(after)) else -1
        )
        step = 1 if forward else -1
        for by in range(1, len(rows) + 1):
            row = rows[(start + by * step) % len(rows)]
            if keep(_getter(row)):
                return row.id
        return None


def _getter(row: Row) -> Get:
    def get(name: str) -> object:
        return f"v{row.id}" if name == "id" else getattr(row, name)

    return get


def pieces(line: Line, family: Family, width: int, noise: float | None) -> list[Piece]:
    """A line of the tree as `width` cells: branch, name, title; effect and score to the right."""
    row, snapshot = line.row, family.snapshot
    branch = _branch(line, width)
    if line.under is not None:
        room = width - cell_len(branch) - cell_len(f"→ v{row.id} ")
        return [
            (branch, "faint"),
            ("→ ", "info"),
            (f"v{row.id} ", "dim"),
            (fitted(row.title, max(room, 0)), "dim"),
        ]
    champion, on_path = row.id == snapshot.champion, row.id in family.path
    mark = "★" if champion else "●" if on_path else "○" if row.kept else "·"
    mark_style = "champion" if on_path else "kept" if row.kept else "faint"
    name_style = "champion" if champion else "dim" if line.dimmed else "title"
    found: list[Piece] = [
        (branch, "line" if on_path and line.depth else "faint"),
        (f"{mark} ", mark_style),
        (f"v{row.id} ", name_style),
    ]
    if len(row.parents) > 1:
        found.append(("".join(f"×v{parent} " for parent in row.parents[1:]), "info"))
    if row.favour in FAVOURS:
        found.append(FAVOURS[row.favour])
    right = _measures(row, noise)
    used = sum(cell_len(text) for text, _ in found)
    tail = f"  +{line.hidden:,}" if line.hidden else ""
    room = width - used - len(tail) - sum(len(text) for text, _ in right) - 1
    title = fitted(row.title, max(room, 0))
    style = "dim" if line.dimmed or failed(row.status) else "champion" if champion else ""
    found += [(title, style), (tail, "info"), (" ", ""), *right]
    return found


def _branch(line: Line, width: int) -> str:
    if not line.depth:
        return "▸ " if line.folded else ""
    most = max(2, min(DEEPEST, (width - TEXT_CELLS) // 2))
    rails = "".join("│ " if rail else "  " for rail in line.rails[-most:])
    cut = len(line.rails) - most
    if cut > 0:
        label = f"‹{cut}›"
        rails = label + rails[len(label) :]
    return rails + ("╰" if line.last else "├") + ("▸" if line.folded else "─")


def _measures(row: Row, noise: float | None) -> list[Piece]:
    """Effect and score, coloured by what the noise lets one say of the effect."""
    if row.score is None:
        return [(f"{row.status.replace('_', ' '):>19}", "bad" if failed(row.status) else "dim")]
    return [
        (
            f"{words.gain(row.effect, row.better) if row.effect is not None else '':>9} ",
            tint(row, noise),
        ),
        (f"{words.score(row.score):>9}", "dim"),
    ]


def tint(row: Row, noise: float | None) -> str:
    """Green and red for an effect beyond twice the noise of one trial; else it may be chance."""
    if row.effect is None or row.better is None:
        return "dim"
    clear = noise is None or abs(row.effect) > 2 * noise
    return ("good" if row.better else "bad") if clear else "dim"
