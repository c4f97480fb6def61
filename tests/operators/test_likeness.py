"""Near-duplicates: the same change elsewhere, and the same numbers moved the same way."""

import pytest

from evo.operators.likeness import nearly_same
from evo.patch import diff

TEXT = "A = 1\nB = 0.5\nC = 3\n\ndef f(x):\n    return x\n\ndef g(x):\n    return x + 0\n"

MARKED = TEXT.replace("C = 3", "C = 3  # phase 2_b")
NUMBERED = TEXT.replace("C = 3", "C = 3  # see 7")


def change(old: str, new: str, text: str = TEXT) -> str:
    assert old in text
    return diff(text, text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (change("B = 0.5", "B = 0.6"), change("B = 0.5", "B = 0.9")),
        (change("A = 1\nB = 0.5", "A = 2\nB = 0.4"), change("A = 1\nB = 0.5", "A = 9\nB = 0.1")),
        (change("    return x\n", "    return x * 2\n"),
         change("    return x\n", "    return x * 2\n", "\n\n" + TEXT)),
        (change("C = 3", "C = 3\nD = 4"), change("A = 1", "A = 1\nD  =  4")),
    ],
)  # fmt: skip
def test_these_are_nearly_the_same(one: str, two: str) -> None:
    assert nearly_same(one, two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (change("B = 0.5", "B = 0.6"), change("B = 0.5", "B = 0.4")),
        (change("B = 0.5", "B = 0.6"), change("C = 3", "C = 4")),
        (change("A = 1\nB = 0.5", "A = 2\nB = 0.4"), change("A = 1", "A = 2")),
        (change("return x\n", "return x * 2\n"), change("return x\n", "return -x\n")),
        (change("C = 3", "C = 4", MARKED), change("C = 3", "C = 2", MARKED)),
        (change("see 7", "see #", NUMBERED), change("B = 0.5", "B = 0.6")),
        ("", ""),
        (change("B = 0.5", "B = 0.6"), ""),
    ],
)
def test_these_are_not(one: str, two: str) -> None:
    assert not nearly_same(one, two)
