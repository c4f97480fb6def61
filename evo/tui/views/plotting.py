"""Plots as text: points and lines in braille dots, with axes; made of rows of styled pieces.

Eight dots make a cell of a terminal (two columns, four rows). A cell has one colour, that of the
last layer that drew in it, so layers are given from the back to the front.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)
"""Bit of each dot in a cell, by row and column (Unicode block 28)."""
BRAILLE = 0x2800
BARS = " ▁▂▃▄▅▆▇█"

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


def frame(layers: Sequence[Layer], *, keep: float = 0.9) -> Frame | None:
    """A frame for layers; None if there is nothing to show.

    The worst values would press all others flat: beyond the quantile `keep` on either side,
    measured from the median, points are shown at the edge.
    """
    xs = np.concatenate([np.asarray(layer.x, dtype=float) for layer in layers] or [np.empty(0)])
    ys = np.concatenate([np.asarray(layer.y, dtype=float) for layer in layers] or [np.empty(0)])
    if not len(xs):
        return None
    low, high = np.quantile(ys, [1 - keep, keep])
    spread = max(high - low, abs(high) * 1e-6, 1e-12)
    bottom, top = max(ys.min(), low - spread / 2), min(ys.max(), high + spread / 2)
    margin = (top - bottom or spread) * 0.04
    left, right = xs.min(), xs.max()
    if right == left:
        right = left + 1
    return Frame(float(left), float(right), float(bottom - margin), float(top + margin))


def draw(layers: Sequence[Layer], view: Frame, width: int, height: int) -> list[list[Piece]]:
    """Draws layers on `height` rows of `width` cells."""
    bits = np.zeros((height, width), dtype=np.uint8)
    marked = np.zeros((height, width), dtype=np.int32)
    owner = np.full((height, width), -1, dtype=np.int16)
    for number, layer in enumerate(layers):
        if not len(layer.x):
            continue
        px, py = _dots(layer, view, width, height)
        if layer.steps:
            px, py = _staircase(px, py, width * 2)
        if layer.mark:
            marked[py // 4, px // 2] = ord(layer.mark)
        else:
            np.bitwise_or.at(bits, (py // 4, px // 2), DOTS[py % 4, px % 2])
        owner[py // 4, px // 2] = number
    cells = np.where(
        marked > 0, marked, np.where(bits > 0, BRAILLE + bits.astype(np.int32), ord(" "))
    )
    names = [layer.style for layer in layers]
    return [_pieces(cells[row], owner[row], names) for row in range(height)]


def _dots(
    layer: Layer, view: Frame, width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    x = (np.asarray(layer.x, dtype=float) - view.left) / (view.right - view.left)
    y = (view.top - np.asarray(layer.y, dtype=float)) / (view.top - view.bottom)
    columns = np.clip(np.rint(x * (width * 2 - 1)), 0, width * 2 - 1).astype(np.int64)
    lines = np.clip(np.rint(y * (height * 4 - 1)), 0, height * 4 - 1).astype(np.int64)
    return columns, lines


def _staircase(
    px: NDArray[np.int64], py: NDArray[np.int64], columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every dot of a line that holds its value, with the risers between two values."""
    xs: list[int] = []
    ys: list[int] = []
    for here, (x, y) in enumerate(zip(px.tolist(), py.tolist(), strict=True)):
        end = int(px[here + 1]) if here + 1 < len(px) else columns - 1
        xs += range(x, end + 1)
        ys += [y] * (end + 1 - x)
        if here + 1 < len(py):
            step = 1 if py[here + 1] >= y else -1
            riser = range(y, int(py[here + 1]), step)
            xs += [end] * len(riser)
            ys += riser
    return np.array(xs, dtype=np.int64), np.array(ys, dtype=np.int64)


def _pieces(
    cells: NDArray[np.int32], owner: NDArray[np.int16], names: Sequence[str]
) -> list[Piece]:
    pieces: list[Piece] = []
    text, style = "", ""
    for cell, number in zip(cells.tolist(), owner.tolist(), strict=True):
        mark = chr(cell)
        wanted = names[number] if mark != " " else style
        if wanted != style and text:
            pieces.append((text, style))
            text = ""
        text, style = text + mark, wanted
    pieces.append((text, style))
    return pieces


def plot(
    layers: Sequence[Layer], width: int, height: int, *, keep: float = 0.9
) -> list[list[Piece]]:
    """A plot with its y axis on the left and the range of x below; rows of exactly `width` cells.

    Returns an empty list if nothing can be drawn in so little space.
    """
    view = frame(layers, keep=keep)
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
    if not len(values) or width < 1:
        return ""
    found = np.asarray(values, dtype=float)
    if len(found) > width:
        edges = np.linspace(0, len(found), width + 1).astype(int)
        found = np.array([found[a:b].mean() for a, b in pairwise(edges)])
    low, high = found.min(), found.max()
    scaled = (found - low) / (high - low) if high > low else np.full(len(found), 0.5)
    return "".join(BARS[1 + round(share * 7)] for share in scaled.tolist())


def bar(share: float, width: int) -> str:
    """A bar that is filled to a share, in eighths of a cell."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return text.ljust(width)
