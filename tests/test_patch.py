"""Unified diffs: what is made applies, what is a little off still fits, the rest is explained."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import PatchError
from evo.patch import FounderPatch, apply, diff, is_diff, read_founder, split_headers

LINES = st.lists(
    st.sampled_from(
        [
            *("a", "b", "", " ", "\r", "x\r", "\x0c", "\u2028q"),
            *("--- a", "+++ b", "-- x", "@@ -1 +1 @@", "diff --git a/f b/f"),
            "\\ No newline at end of file",
        ]
    )
)
TEXTS = st.builds(
    lambda lines, end: "\n".join(lines) + end, LINES, st.sampled_from(["", "\n", "\r\n"])
) | st.text(alphabet=st.characters(exclude_categories=["Cs"]))
SOURCE = "".join(f"line {number}\n" for number in range(1, 31))


@given(TEXTS, TEXTS)
def test_a_diff_applied_to_the_old_text_gives_the_new_one(old: str, new: str) -> None:
    assert apply(old, diff(old, new)) == new


@given(TEXTS)
def test_equal_texts_have_an_empty_diff(text: str) -> None:
    assert diff(text, text) == ""


def test_git_applies_what_diff_makes(tmp_path: Path) -> None:
    new = SOURCE.replace("line 3\n", "").removesuffix("\n")
    (tmp_path / "train.py").write_text(SOURCE)
    subprocess.run(
        ["git", "apply", "-"], cwd=tmp_path, input=diff(SOURCE, new), text=True, check=True
    )
    assert (tmp_path / "train.py").read_text() == new


def test_texts_that_say_the_same_all_over_are_exchanged_as_a_whole(tmp_path: Path) -> None:
    """The shortest diff between these takes minutes."""
    old = "".join(f"{number % 130}\n" for number in range(100_000))
    new = "".join(f"{number * number % 131}\n" for number in range(100_001))
    (tmp_path / "train.py").write_text(old)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=diff(old, new), text=True, check=True)
    assert (tmp_path / "train.py").read_text() == new


def test_a_hunk_is_found_where_its_lines_have_moved_to() -> None:
    patch = diff(SOURCE, SOURCE.replace("line 20\n", "line twenty\n"))
    moved = "new\n" * 7 + SOURCE
    assert apply(moved, patch) == moved.replace("line 20\n", "line twenty\n")


def test_of_equal_places_the_nearest_is_taken() -> None:
    text = "a\n" * 10
    patch = "--- a/f\n+++ b/f\n@@ -6 +6 @@\n-a\n+b\n"
    assert apply(text, patch) == "a\n" * 5 + "b\n" + "a\n" * 4


def test_later_hunks_follow_the_drift_of_earlier_ones() -> None:
    text = "x\n" + "".join(f"same\nline {n}\n" for n in range(20))
    new = text.replace("line 2\n", "2\n").replace("line 17\n", "17\n")
    assert apply("top\n" * 3 + text, diff(text, new)) == "top\n" * 3 + new


def test_blanks_of_the_context_may_differ_and_stay_as_they_are() -> None:
    old = "def f():\n    x  =  1   \n    y = 2\n"
    patch = diff("def f():\n    x = 1\n    y = 2\n", "def f():\n    x = 1\n    y = 3\n")
    assert apply(old, patch) == "def f():\n    x  =  1   \n    y = 3\n"


def test_indentation_of_the_context_may_not_differ() -> None:
    patch = diff("x = 1\ny = 2\n", "x = 1\ny = 3\n")
    with pytest.raises(PatchError):
        apply("if a:\n    x = 1\n    y = 2\n", patch)


def test_a_patch_with_line_feeds_applies_to_a_file_with_carriage_returns() -> None:
    patch = diff(SOURCE, SOURCE.replace("line 20\n", "line twenty\nand more\n"))
    new = apply(SOURCE.replace("\n", "\r\n"), patch)
    assert new == SOURCE.replace("line 20\n", "line twenty\nand more\n").replace("\n", "\r\n")


def test_added_lines_behind_an_unfinished_last_line_stand_on_their_own() -> None:
    assert apply("a\nb", diff("a\nb\n", "a\nb\nc\n")) == "a\nb\nc\n"


def test_a_hunk_that_does_not_fit_is_named_with_the_line_that_differs() -> None:
    patch = diff(SOURCE, SOURCE.replace("line 20\n", "line twenty\n"))
    with pytest.raises(PatchError) as caught:
        apply(SOURCE.replace("line 21\n", "line xxi\n"), patch)
    assert "hunk 1 (@@ -17,7)" in str(caught.value)
    assert "expects 'line 21', but line 21 is 'line xxi'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        ("nonsense\n", "must change one file, but it changes none"),
        (diff("a\n", "b\n", "f") + diff("a\n", "b\n", "g"), "it changes f, g"),
        ("--- a/f\n+++ b/f\n@@ -1,5 +1,5 @@\n a\n", "shorter than expected"),
        ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n?a\n", "can't be read"),
        ("--- a/f\n+++ b/f\n@@ -" + "9" * 5000 + " +1 @@\n-a\n+b\n", "can't be read"),
        (diff("a\n" * 9, "a\n" * 9 + "b\n"), "the text ends before it"),
    ],
)
def test_what_is_no_patch_for_this_text_is_explained(patch: str, told: str) -> None:
    with pytest.raises(PatchError, match=told):
        apply("a\n", patch)


def test_a_founder_has_a_title_a_rationale_and_a_diff() -> None:
    made = diff("DEPTH = 2\n", "DEPTH = 3\n")
    text = (
        f"Title: One block more\nRationale: Depth is cheap: it\n  costs little\n\there.\n\n{made}"
    )
    founder = read_founder("deeper", text)
    assert founder == FounderPatch(
        "deeper", "One block more", "Depth is cheap: it costs little here.", made
    )
    assert apply("DEPTH = 2\n", founder.diff) == "DEPTH = 3\n"


def test_a_founder_keeps_every_character_of_its_diff() -> None:
    made = diff("a\r\n\x0cé\n", "b\r\n\u2028\n")
    assert read_founder("odd", f"Title: Odd\n\n{made}").diff == made


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (diff("a\n", "b\n"), "must begin with a line `Title"),
        ("Title: Nothing\n\n", "must hold a unified diff"),
        ("", "must begin with a line `Title"),
    ],
)
def test_a_founder_without_title_or_diff_is_refused(text: str, told: str) -> None:
    with pytest.raises(PatchError, match=told):
        read_founder("broken", text)


def test_a_diff_without_headers_is_all_body() -> None:
    made = "diff --git a/f b/f\nindex 1..2 100644\n" + diff("a\n", "b\n", "f")
    for text in (made, diff("a\n", "b\n")):
        assert split_headers(text) == ("", "", text)


def test_a_diff_is_told_from_a_file() -> None:
    assert is_diff(diff("a\n", "b\n"))
    assert not is_diff("x = 1\n--- a\n")
