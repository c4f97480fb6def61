"""Plots as text: points and lines in braille dots, with axes; made of rows of styled pieces.

Eight dots make a cell of a terminal (two columns, four rows). A cell has one colour, that of the
last layer that drew in it, so layers are given from the back to the front. Plain Python: a screen
has few dots, and importing an array library takes longer than drawing them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from rich.cells import cell_len, set_cell_size

from evo.nouns import Direction

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of each dot in a cell, by row and column (Unicode block 28)."""
BRAILLE = 0x2800
BARS = " ▁▂▃▄▅▆▇█"
LARGEST = 1e100
"""On either side of zero: what is larger isn't drawn, for the width between two overflows."""
NAME_CELLS = 9
"""Of a variant or an operator, at the beginning of a line."""

Piece = tuple[str, str]
"""Text, and the name of its style; an empty name is the text's own colour."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One series of a plot."""

    x: Sequence[float]
    y: Sequence[float]
    style: str
    steps: bool = False
    """Drawn as a line that holds its value until the next point, instead of as points."""
    mark: str = ""
    """Drawn in a whole cell for each point, instead of a dot."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What part of the plane is shown."""

    left: float
    right: float
    bottom: float
    top: float


def frame(
    layers: Sequence[Layer], *, keep: float = 0.9, direction: Direction = Direction.MINIMISE
) -> Frame | None:
    """A frame for layers; None if there is nothing to show.

    The worst values would press all others flat: those that lie more than half of the rest's spread
    beyond the share `keep` that is best are shown at the edge. The best are never.
    """
    points = [point for layer in layers for point in _points(layer)]
    if not points:
        return None
    xs, losses = [x for x, _ in points], sorted(direction.loss(y) for _, y in points)
    least, most = losses[0], _quantile(losses, keep)
    spread = max(most - least, abs(most) * 1e-6, 1e-12)
    edge = min(losses[-1], most + spread / 2)
    margin = (edge - least or spread) * 0.04
    ends = direction.loss(least - margin), direction.loss(edge + margin)
    left, right = min(xs), max(xs)
    if right == left:
        right = left + 1
    return Frame(left, right, min(ends), max(ends))


def draw(layers: Sequence[Layer], view: Frame, width: int, height: int) -> list[list[Piece]]:
    """Draws layers on `height` rows of `width` cells."""
    bits = [[0] * width for _ in range(height)]
    marks = [[""] * width for _ in range(height)]
    owners = [[""] * width for _ in range(height)]
    for layer in layers:
        dots = _dots(layer, view, width, height)
        for x, y in _staircase(dots, width * 2) if layer.steps else dots:
            row, column = y // 4, x // 2
            owners[row][column] = layer.style
            if layer.mark:
                marks[row][column] = layer.mark
            else:
                bits[row][column] |= DOTS[y % 4][x % 2]
    cells = [
        [mark or (chr(BRAILLE + dots) if dots else " ") for mark, dots in zip(*both, strict=True)]
        for both in zip(marks, bits, strict=True)
    ]
    return [_pieces(*both) for both in zip(cells, owners, strict=True)]


def _points(layer: Layer) -> list[tuple[float, float]]:
    """What can be drawn of a layer."""
    points = [(float(x), float(y)) for x, y in zip(layer.x, layer.y, strict=True)]
    return [(x, y) for x, y in points if abs(x) <= LARGEST and abs(y) <= LARGEST]


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Of sorted values, with straight lines between them."""
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    above = ordered[min(low + 1, len(ordered) - 1)]
    return ordered[low] + (above - ordered[low]) * (at - low)


def _dots(layer: Layer, view: Frame, width: int, height: int) -> list[tuple[int, int]]:
    last_x, last_y = width * 2 - 1, height * 4 - 1
    wide, tall = view.right - view.left, view.top - view.bottom
    return [
        (
            min(max(round((x - view.left) / wide * last_x), 0), last_x),
            min(max(round((view.top - y) / tall * last_y), 0), last_y),
        )
        for x, y in _points(layer)
    ]


def _staircase(dots: Sequence[tuple[int, int]], columns: int) -> list[tuple[int, int]]:
    """Every dot of a line that holds its value, with the risers between two values."""
    line: list[tuple[int, int]] = []
    for (x, y), then in zip(dots, [*dots[1:], None], strict=True):
        end = then[0] if then else columns - 1
        line += [(column, y) for column in range(x, end + 1)]
        if then:
            line += [(end, row) for row in range(y, then[1], 1 if then[1] >= y else -1)]
    return line


def _pieces(cells: Sequence[str], owners: Sequence[str]) -> list[Piece]:
    pieces: list[Piece] = []
    text, style = "", ""
    for cell, owner in zip(cells, owners, strict=True):
        wanted = owner if cell != " " else style
        if wanted != style and text:
            pieces.append((text, style))
            text = ""
        text, style = text + cell, wanted
    pieces.append((text, style))
    return pieces


def plot(
    layers: Sequence[Layer],
    width: int,
    height: int,
    *,
    keep: float = 0.9,
    direction: Direction = Direction.MINIMISE,
) -> list[list[Piece]]:
    """A plot with its y axis on the left and the range of x below; rows of exactly `width` cells.

    Returns an empty list if nothing can be drawn in so little space.
    """
    view = frame(layers, keep=keep, direction=direction)
    if view is None or height < 3 or width < 16:
        return []
    marks = (view.top, (view.top + view.bottom) / 2, view.bottom)
    digits = min(max(2 - math.floor(math.log10(view.top - view.bottom)), 0), 6)
    labels = [f"{value:,.{digits}f}" for value in marks]
    margin = max(len(label) for label in labels)
    inner_width, inner_height = width - margin - 2, height - 1
    at = {0: labels[0], inner_height // 2: labels[1], inner_height - 1: labels[2]}
    rows = []
    for number, pieces in enumerate(draw(layers, view, inner_width, inner_height)):
        label = at.get(number, "")
        mark = "┤" if label else "│"
        rows.append([(f"{label:>{margin}} {mark}", "axis"), *pieces])
    left, right = f"{view.left:g}", f"{view.right:g}"
    between = " " * max(1, inner_width - len(left) - len(right))
    rows.append([(" " * (margin + 2) + left + between + right, "axis")])
    return rows


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as bars of eight heights, averaged down to `width` cells."""
    found = [value for value in values if abs(value) <= LARGEST]
    if not found or width < 1:
        return ""
    if len(found) > width:
        edges = [at * len(found) // width for at in range(width + 1)]
        found = [fmean(found[a:b]) for a, b in pairwise(edges)]
    low, high = min(found), max(found)
    scaled = [(one - low) / (high - low) if high > low else 0.5 for one in found]
    return "".join(BARS[1 + round(share * 7)] for share in scaled)


def bar(share: float, width: int) -> str:
    """A bar that is filled to a share, in eighths of a cell."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return text.ljust(width)


def fitted(text: str, cells: int) -> str:
    """A text in just so many cells of a terminal, where a character may take two."""
    if cell_len(text) <= cells:
        return text + " " * (cells - cell_len(text))
    return set_cell_size(text, max(cells - 1, 0)) + "…" * (cells > 0)
