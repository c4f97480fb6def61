"""Conflicts: what git settles stays settled, and the rest comes in pieces."""

from evo.population.conflicts import Conflict, conflicts, resolve

BASE = "a = 1\nb = 1\nc = 1\nd = 1\ne = 1\nf = 1\n"


def test_a_merge_without_conflicts_is_one_settled_piece() -> None:
    ours, theirs = BASE.replace("a = 1", "a = 2"), BASE.replace("f = 1", "f = 3")
    pieces = conflicts(BASE, ours, theirs)
    assert pieces == [ours.replace("f = 1", "f = 3")]
    assert resolve(pieces, []) == pieces[0]


def test_conflicts_come_with_all_three_sides_and_answers_take_their_places() -> None:
    ours = BASE.replace("a = 1", "a = 2").replace("d = 1", "d = 2")
    theirs = BASE.replace("a = 1", "a = 3").replace("d = 1", "d = 3").replace("f = 1", "f = 9")
    pieces = conflicts(BASE, ours, theirs)
    found = [piece for piece in pieces if isinstance(piece, Conflict)]
    assert found == [
        Conflict("a = 2\n", "a = 1\n", "a = 3\n"),
        Conflict("d = 2\n", "d = 1\n", "d = 3\n"),
    ]
    merged = resolve(pieces, ["a = 5", ""])
    assert merged == "a = 5\nb = 1\nc = 1\ne = 1\nf = 9\n"


def test_a_conflict_at_the_end_of_a_text_without_a_line_feed() -> None:
    pieces = conflicts("a = 1", "a = 2", "a = 3")
    assert resolve(pieces, ["a = 4"]) == "a = 4\n"
