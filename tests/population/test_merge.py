"""Merging: what goes together, what doesn't, and that it doesn't matter which side is which."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.errors import MergeConflictError
from evo.population.merge import merge, merge_lines, merge_names

BASE = (Path(__file__).parent.parent / "fixtures" / "two_columns.py").read_text()
NAMES = [f"C{number}" for number in range(6)]


def changed(*pairs: tuple[str, str], text: str = BASE) -> str:
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def constants(values: dict[str, int]) -> str:
    return "".join(f"{name} = {value}  # {name}\n" for name, value in sorted(values.items()))


VERSIONS = st.fixed_dictionaries({name: st.integers(0, 2) for name in NAMES})


@settings(deadline=None, max_examples=30)
@given(VERSIONS, VERSIONS)
def test_what_only_one_side_changed_is_taken(a: dict[str, int], b: dict[str, int]) -> None:
    base, other = constants(a), constants(b)
    assert (
        merge(base, base, other) == merge(base, other, base) == merge(base, other, other) == other
    )
    assert merge_names(base, base, other) == merge_names(base, other, base) == other


@settings(deadline=None, max_examples=30)
@given(VERSIONS, VERSIONS, VERSIONS)
def test_constants_merge_one_by_one_and_either_way_round(
    base: dict[str, int], one: dict[str, int], two: dict[str, int]
) -> None:
    clash = [name for name in NAMES if base[name] != one[name] != two[name] != base[name]]
    if clash:
        with pytest.raises(MergeConflictError, match=clash[0]):
            merge(constants(base), constants(one), constants(two))
        return
    wanted = {name: two[name] if one[name] == base[name] else one[name] for name in NAMES}
    merged = merge(constants(base), constants(one), constants(two))
    assert merged == merge(constants(base), constants(two), constants(one)) == constants(wanted)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(0, 5)), unique_by=lambda pair: pair[0]),
    st.lists(st.tuples(st.sampled_from("EFGH"), st.integers(0, 5)), unique_by=lambda pair: pair[0]),
)
def test_news_of_both_sides_come_in_the_same_order_either_way_round(
    mine: list[tuple[str, int]], yours: list[tuple[str, int]]
) -> None:
    def grown(news: list[tuple[str, int]]) -> str:
        lines = list(constants(dict.fromkeys(NAMES, 1)).splitlines(keepends=True))
        for name, place in news:
            lines.insert(place, f"{name} = 1\n")
        return "".join(lines)

    base, one, two = grown([]), grown(mine), grown(yours)
    merged = merge_names(base, one, two)
    assert merged == merge_names(base, two, one)
    assert sorted(merged.splitlines()) == sorted({*one.splitlines(), *two.splitlines()})


def test_neighbouring_constants_merge_where_git_gives_up() -> None:
    one = changed(("MATRIX_LR = (0.02", "MATRIX_LR = (0.04"))
    two = changed(("EMBED_LR = (0.2", "EMBED_LR = (0.1"))
    assert merge_lines(BASE, one, two) is None
    assert merge(BASE, one, two) == changed(
        ("MATRIX_LR = (0.02", "MATRIX_LR = (0.04"), ("EMBED_LR = (0.2", "EMBED_LR = (0.1")
    )


def test_far_changes_merge_line_by_line() -> None:
    one, two = changed(("DEPTH = (2", "DEPTH = (3")), changed(("optimizer.step()", "pass"))
    assert (
        merge(BASE, one, two)
        == merge_lines(BASE, one, two)
        == changed(("DEPTH = (2", "DEPTH = (3"), ("optimizer.step()", "pass"))
    )


def test_members_of_one_class_merge_by_name() -> None:
    base = "class A:\n    x = 1\n    y = 2\n\n    def f(self):\n        return 1\n"
    one = base.replace("x = 1", "x = 3").replace("return 1", "return 9")
    two = base.replace("y = 2", "y = 4\n    z = 5")
    assert merge(base, one, two) == base.replace("x = 1", "x = 3").replace(
        "y = 2", "y = 4\n    z = 5"
    ).replace("return 1", "return 9")


def test_the_head_of_a_class_and_its_body_merge() -> None:
    base = "class A:\n    x = 1\n"
    merged = merge(base, "class A(B):\n    x = 1\n", "class A:\n    x = 2\n")
    assert merged == "class A(B):\n    x = 2\n"


def test_imports_are_sets() -> None:
    base = "import a\nfrom m import one, two\nx = 1\n"
    ours = "import a\nimport b\nfrom m import one, three, two\nx = 1\n"
    theirs = "import a\nimport c\nfrom m import four, one\nx = 1\n"
    assert merge(base, ours, theirs) == (
        "import a\nimport b\nimport c\nfrom m import four, one, three\nx = 1\n"
    )


def test_news_stand_behind_what_they_stood_behind_with_their_comments() -> None:
    base = "A = 1\nB = 2\n\n\ndef f():\n    return A\n"
    one = base.replace("A = 1\n", "A = 9\n# why\nC = 3  # what\n")
    two = base.replace("B = 2\n", "B = 8\n\n\ndef g():\n    return 7\n")
    assert merge(base, one, two) == (
        "A = 9\n# why\nC = 3  # what\nB = 8\n\n\n"
        "def g():\n    return 7\n\n\ndef f():\n    return A\n"
    )


def test_a_removal_and_a_comment_on_the_removed_go_together() -> None:
    assert merge("A = 1\nB = 2\n", "A = 1  # new\nB = 3\n", "B = 2\n") == "B = 3\n"


def test_value_and_comment_changed_by_different_sides_are_both_kept() -> None:
    merged = merge("A = 1  # old\nB = 1\n", "A = 2  # old\nB = 1\n", "A = 1  # new\nB = 1\n")
    assert merged == "A = 2  # new\nB = 1\n"


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        ([("DEPTH = (2", "DEPTH = (3")], [("DEPTH = (2", "DEPTH = (4")], "both change DEPTH in"),
        ([("GRAD_CLIP = 0.0  # off\n", "")], [("0.0  # off", "1.0")], "GRAD_CLIP .one removes it"),
        ([("self.head(x)", "x")], [("self.head(x)", "-x")], "Model.forward"),
        ([("arena_main(b", "print(b")], [("arena_main(b", "exit(b")], "if __name__"),
        ([("NAME =", "NEW = 1\nNAME =")], [("NAME =", "NEW = 2\nNAME =")], "NEW"),
    ],
)
def test_what_both_change_differently_is_named(
    ours: list[tuple[str, str]], theirs: list[tuple[str, str]], told: str
) -> None:
    for one, two in ((ours, theirs), (theirs, ours)):
        with pytest.raises(MergeConflictError, match=told) as caught:
            merge(BASE, changed(*one), changed(*two))
        assert "\n" not in str(caught.value)


def test_nameless_statements_that_both_replace_conflict() -> None:
    with pytest.raises(MergeConflictError, match="f"):
        merge("f(1)\n", "g(1)\n", "h(1)\n")


def test_one_function_added_at_two_places_is_added_once() -> None:
    base = "A = 1\n\n\nB = 2\n\n\nC = 3\n\n\nD = 4\n"
    news = "def f():\n    return 1\n\n\n"
    one, two = base.replace("B = 2", f"{news}B = 2"), base.replace("D = 4", f"{news}D = 4")
    assert merge_lines(base, one, two) is not None
    assert merge(base, one, two).count("def f()") == 1


def test_a_future_import_stays_on_top() -> None:
    base = '"""Doc."""\nA = 1\n'
    one = '"""Doc."""\nimport __main__\nA = 1\n'
    two = '"""Doc."""\nfrom __future__ import annotations\nA = 1\n'
    ast.parse(merge(base, one, two))


def test_a_moved_function_keeps_its_new_place_and_the_other_sides_change() -> None:
    base = "def a():\n    return 1\n\n\ndef b():\n    return 2\n\n\nX = 1\n"
    moved = "def b():\n    return 2\n\n\ndef a():\n    return 1\n\n\nX = 1\n"
    merged = merge_names(base, moved, base.replace("return 2", "return 3"))
    assert merged == moved.replace("return 2", "return 3")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_survive(end: str) -> None:
    base, one, two = (
        text.replace("\n", end) for text in ("A = 1\nB = 1", "A = 2\nB = 1", "A = 1\nB = 2")
    )
    assert merge(base, one, two) == f"A = 2{end}B = 2"


def test_what_is_not_python_is_merged_by_lines_or_not_at_all() -> None:
    with pytest.raises(MergeConflictError, match="only Python"):
        merge("a b\n", "a c\n", "a d\n")
    with pytest.raises(MergeConflictError, match="only Python"):
        merge("A = 1\n", "A = 2\n", 'A = 1\nB = "\0"\n')


@pytest.mark.parametrize(
    "text", ["x = " + "(" * 150 + "1" + ")" * 150 + "\n", "x = " + "+".join(["1"] * 150) + "\n"]
)
def test_deeply_nested_code_merges(text: str) -> None:
    base = f"{text}A = 1\nB = 1\n"
    merged = merge(base, base.replace("A = 1", "A = 2"), base.replace("B = 1", "B = 2"))
    assert merged == f"{text}A = 2\nB = 2\n"


@pytest.mark.parametrize(
    "text", ["x = " + "(" * 9000 + "1" + ")" * 9000, "x = " + "-" * 9000 + "1"]
)
def test_code_that_would_overflow_a_parser_is_refused(text: str) -> None:
    base = f"{text}\nA = 1\nB = 1\n"
    with pytest.raises(MergeConflictError, match="only Python"):
        merge(base, base.replace("A = 1", "A = 2"), base.replace("B = 1", "B = 2"))


def test_a_text_that_says_the_same_countless_times_is_merged_in_no_time() -> None:
    """What a merge costs must not grow with the square of what a stranger writes."""
    again = "0\n" * 10_000
    began = time.process_time()
    merged = merge_names("x = 1\n" + again, "x = 2\n" + again, "x = 1\n" + again + "y = 3\n")
    assert merged == "x = 2\n" + again + "y = 3\n"
    assert time.process_time() - began < 15
