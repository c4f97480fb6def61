"""Steps: the next value to try of a number, sized by what such numbers usually mean."""

from __future__ import annotations

import math
import random

LEAST_FACTOR, MOST_FACTOR = 1.15, 2.5
"""A step multiplies or divides by something between, drawn evenly on a log scale."""
FROM_ZERO = (0.01, 0.02, 0.05, 0.1, 0.2, 1.0)
"""What a float that is off is turned to."""
NEAR_ONE, MAYBE_NEAR_ONE = 0.9, 0.5
"""From the first on, a float moves by its distance to 1; from the second on, half of the time."""
SMALL = 16
"""Below, an integer is a count and moves by 1 or 2."""
MULTIPLES = (64, 16, 10, 8)
"""A larger integer that is a multiple of one of these stays one."""


def step(value: bool | int | float, written: str, chance: random.Random) -> str:
    """The text of another value near `value`, in the style of the text that stands for it.

    Switches flip. Zero becomes a small value, any other number keeps its sign and isn't zero.
    """
    if isinstance(value, bool):
        return str(not value)
    sign = "-" if value < 0 else ""
    if isinstance(value, float):
        return sign + _float(abs(value), chance)
    size = _integer(abs(value), chance)
    if "**" in written:
        # A power of two of 16 or more stays one; a smaller one may not.
        return f"2**{size.bit_length() - 1}" if size.bit_count() == 1 else str(size)
    return sign + (f"{size:_}" if "_" in written else str(size))


def _float(size: float, chance: random.Random) -> str:
    if size == 0:
        return repr(chance.choice(FROM_ZERO))
    factor = _factor(chance)
    is_near = size >= NEAR_ONE or (size >= MAYBE_NEAR_ONE and chance.random() < 0.5)
    if size < 1 and is_near:
        # Odds instead of the value: near 1 this is a step in the distance to 1, and stays below.
        distance = _rounded(1 / (1 + size / (1 - size) * factor))
        return repr(round(1 - distance, 1 - math.floor(math.log10(distance))))
    moved = _rounded(size * factor)
    return repr(moved if 0 < moved < math.inf else _rounded(size / factor))


def _integer(size: int, chance: random.Random) -> int:
    if size == 0:
        return 1
    is_power = size.bit_count() == 1
    up = chance.random() < 0.5 or size == 1
    if is_power and (size >= SMALL or chance.random() < 0.5):
        return size * 2 if up else size // 2
    if size < SMALL:
        by = chance.choice((1, 1, 2))
        return size + by if up else max(1, size - by)
    factor = _factor(chance)
    return _scaled(size, max(factor, 1 / factor) if up else min(factor, 1 / factor))


def _scaled(size: int, factor: float) -> int:
    """Near `size * factor`, round as people write it, and divisible as `size` is."""
    multiple = next((each for each in MULTIPLES if size % each == 0), 1)
    moved = int(_rounded(size * factor))
    if moved % multiple:
        moved = max(multiple, round(moved / multiple) * multiple)
    if moved == size:
        moved += multiple if factor > 1 else -multiple
    return moved or 2 * multiple


def _factor(chance: random.Random) -> float:
    size = math.exp(chance.uniform(math.log(LEAST_FACTOR), math.log(MOST_FACTOR)))
    return size if chance.random() < 0.5 else 1 / size


def _rounded(value: float) -> float:
    """To two significant digits: a third one is below what a run can tell."""
    return float(f"{value:.1e}")
