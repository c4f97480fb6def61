"""What models answer: blocks that fit, nearly fit and don't, diffs, whole files, and nonsense."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.operators.edits import Answer, AnswerError, Edit, apply, headers, read, show
from evo.patch import diff
from tests.operators.shelves import BASELINE, changed

SOURCE = """\
import torch

DEPTH = (2, 8)  # blocks
LR = 0.1


def train(arena):
    model = build()
    for batch in arena:
        loss = model(batch)
        loss.backward()
    for batch in arena:
        loss = model(batch)
    return model
"""
HEAD = "Title: Deeper\nRationale: It has room\nto grow.\n\n"


def block(old: str, new: str) -> str:
    return f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


def edited(answer: str, source: str = SOURCE) -> str:
    return apply(source, read(answer, "train.py"))


def refusal(answer: str, source: str = SOURCE) -> AnswerError:
    with pytest.raises(AnswerError) as caught:
        edited(answer, source)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_block_with_title_and_rationale_is_read_and_applied() -> None:
    text = HEAD + block("DEPTH = (2, 8)  # blocks", "DEPTH = (3, 8)  # blocks")
    answer = read(text, "train.py")
    assert (answer.title, answer.rationale) == ("Deeper", "It has room to grow.")
    assert edited(text) == SOURCE.replace("(2, 8)", "(3, 8)")


@pytest.mark.parametrize(
    "head",
    ["**Title:** Deeper\n\n**Rationale:** Why.\n\n", "## Title: Deeper\nRATIONALE: Why.\n\n"],
)
def test_markdown_around_the_headers_does_no_harm(head: str) -> None:
    answer = read(head + block("LR = 0.1", "LR = 0.2"), "train.py")
    assert (answer.title, answer.rationale) == ("Deeper", "Why.")


def test_several_blocks_apply_whatever_their_order_and_fences() -> None:
    text = f"Here:\n```python\n{block('    return model', '    return model.eval()')}```\n"
    text += f"train.py\n```\n{block('LR = 0.1', 'LR = 0.2')}```\n"
    wanted = SOURCE.replace("return model", "return model.eval()").replace("0.1", "0.2")
    assert edited(text) == wanted


def test_a_block_may_take_lines_out_and_put_lines_in() -> None:
    assert edited(block("LR = 0.1\n", "")) == SOURCE.replace("LR = 0.1\n", "")
    assert edited(block("LR = 0.1", "LR = 0.1\nWD = 0.2")) == SOURCE.replace(
        "LR = 0.1\n", "LR = 0.1\nWD = 0.2\n"
    )


def test_blanks_and_a_wrong_indentation_are_forgiven_and_put_right() -> None:
    text = block("loss = model(batch)\nloss.backward()", "loss = model(batch) / 2\nloss.backward()")
    inside = "        loss = model(batch)\n        loss.backward()"
    assert edited(text) == SOURCE.replace(inside, inside.replace("(batch)", "(batch) / 2"))
    assert "LR = 0.2" in edited(block("LR  =  0.1   ", "LR = 0.2"))


def test_line_numbers_that_were_copied_along_are_taken_off() -> None:
    lines = show(SOURCE).splitlines()
    assert lines[3] == " 4│ LR = 0.1"
    assert edited(block("\n".join(lines[2:4]), lines[2] + "\n 4│ LR = 0.3")) == SOURCE.replace(
        "0.1", "0.3"
    )


def test_a_part_of_a_line_that_is_there_once_is_enough() -> None:
    assert edited(block("(2, 8)", "(4, 8)")) == SOURCE.replace("(2, 8)", "(4, 8)")


def test_one_slip_in_a_long_block_is_forgiven_where_no_other_place_is_like_it() -> None:
    old = "def train(arena):\n    model = buildd()\n    for batch in arena:\n"
    new = "def train(arena):\n    model = build(3)\n    for batch in arena:"
    assert edited(block(old, new)) == SOURCE.replace("build()", "build(3)")


@pytest.mark.parametrize("length", [4, 8, 16])
@pytest.mark.parametrize("slip", ["left out", "added"])
def test_a_block_with_a_line_too_few_or_too_many_is_refused_not_put_one_line_off(
    length: int, slip: str
) -> None:
    lines = BASELINE.splitlines()
    for start in range(0, len(lines) - length, 3):
        old = lines[start : start + length]
        if slip == "left out":
            del old[length // 2]
        else:
            old.insert(length // 2, "    another_line = of_code(1)")
        if old[0].strip() and old[-1].strip() and "\n".join(old) not in BASELINE:
            assert "block 1" in str(refusal(block("\n".join(old), "pass"), BASELINE))


@pytest.mark.parametrize(
    "flood",
    [
        "\n" * 390_000,
        " " * 390_000,
        "title:" + " " * 390_000,
        "rationale:\n" * 39_000,
        "<<<<<<< SEARCH\na\n=======\nb\n" * 12_000,
        "<<<<<<< SEARCH\n" * 25_000,
        "```python\nx\n" * 30_000,
        "a." * 195_000,
    ],
)
@pytest.mark.timeout(60)
def test_a_model_that_repeats_itself_without_end_is_read_at_once(flood: str) -> None:
    assert refusal(flood)
    assert headers(flood)


def test_a_block_longer_than_the_file_is_refused() -> None:
    assert "isn't in the file" in str(refusal(block(SOURCE + "x = 1\n" + SOURCE, "pass")))


def test_what_fits_two_places_is_refused_with_the_lines() -> None:
    error = refusal(block("    for batch in arena:\n        loss = model(batch)", "    pass"))
    assert "block 1 fits at lines 9, 12" in str(error)
    assert "one place only" in error.advice


def test_what_is_not_there_is_refused_with_the_nearest_lines() -> None:
    error = refusal(HEAD + block("LR = 0.1", "LR = 0.2") + block("model = make(1, 2)\nx = 3", "y"))
    assert "block 2 isn't in the file" in str(error)
    assert "8│     model = build()" in error.advice


def test_overlapping_blocks_are_refused() -> None:
    text = block("DEPTH = (2, 8)  # blocks\nLR = 0.1", "x") + block("LR = 0.1", "y")
    assert "blocks 1 and 2 change the same lines" in str(refusal(text))


def test_an_empty_search_is_refused() -> None:
    assert "searches for nothing" in str(refusal(block("", "print()")))


def test_a_unified_diff_is_taken() -> None:
    wanted = SOURCE.replace("0.1", "0.2")
    assert edited(f"{HEAD}```diff\n{diff(SOURCE, wanted)}```\n") == wanted
    assert edited(HEAD + diff(SOURCE, wanted)) == wanted


def test_a_whole_file_is_taken() -> None:
    wanted = SOURCE.replace("0.1", "0.2")
    assert edited(f"{HEAD}```python\n{wanted}```\nThat is all.") == wanted


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "no edit is in the answer"),
        ("I would make it deeper, and then see.", "which begins: 'I would make it deeper"),
        ("Ich würde das Modell tiefer machen.", "no edit is in the answer"),
        ("```python\na = 1\nb = 2\n```\nor\n```python\na = 2\nb = 2\n```\n", "2 fences of code"),
        ("```python\n" + SOURCE[:200], "isn't closed"),
        ("```python\n" + "\n".join(SOURCE.splitlines()[:5]) + "\n```\n", "5 lines of 14"),
        (block("LR = 0.1", "LR = 0.2")[:-20], "block 1 of 1 isn't finished"),
        ("x" * 1_000_000, "1,000,000 characters"),
        (diff("a = 1\n", "a = 2\n", "engine.py"), "it edits engine.py, but only train.py"),
        ("evo/arena/referee.py\n" + block("LR = 0.1", "LR = 0.2"), "it edits evo/arena/referee.py"),
        (diff("gone = 1\n", "gone = 2\n"), "doesn't fit"),
    ],
)  # fmt: skip
def test_answers_without_a_use_say_what_is_wrong(answer: str, words: str) -> None:
    assert words in str(refusal(answer))


def test_a_diff_of_two_files_is_refused() -> None:
    both = diff(SOURCE, SOURCE + "\n") + diff("a\n", "b\n", "other.py")
    assert "it edits other.py" in str(refusal(both))


def test_windows_line_ends_in_an_answer_do_no_harm() -> None:
    assert edited(block("LR = 0.1", "LR = 0.2").replace("\n", "\r\n")) == SOURCE.replace(
        "0.1", "0.2"
    )


def test_a_block_that_would_be_looked_for_without_end_isnt_looked_for() -> None:
    source, endless = "x\n" * 60_000, "x\n" * 5_000 + "y"
    began = time.monotonic()
    assert "too many for a text of 60,000" in str(refusal(block(endless, "z"), source))
    assert "hunks is too long" in str(refusal(diff(source, source + "y\n" * 9_000), source))
    assert time.monotonic() - began < 5


def test_a_real_script_is_edited_in_reasonable_time_even_where_nothing_fits() -> None:
    long = "\n".join(f"nothing_like_this_{number} = {number}" for number in range(150))
    assert "isn't in the file" in str(refusal(block(long, "x = 1"), BASELINE))
    wanted = changed(BASELINE, "DEPTH = (2, 8)", "DEPTH = (3, 8)")
    assert edited(block("DEPTH = (2, 8)", "DEPTH = (3, 8)"), BASELINE) == wanted


lines = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=8),
    min_size=1, max_size=12, unique=True,
)  # fmt: skip


@settings(max_examples=40)
@given(lines, st.data())
def test_a_block_of_lines_that_are_there_once_replaces_just_them(
    source: list[str], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(source) - 1))
    end = data.draw(st.integers(start + 1, len(source)))
    old = "\n".join(source[start:end])
    if not old.strip() or not source[start].strip() or not source[end - 1].strip():
        return
    text = "".join(f"{line}\n" for line in source)
    made = apply(text, Answer("", "", (Edit(old, "new = 1"),)))
    assert made == "".join(f"{line}\n" for line in [*source[:start], "new = 1", *source[end:]])


@given(st.text(max_size=400))
def test_no_answer_whatever_breaks_the_reader(text: str) -> None:
    try:
        edited(text)
    except AnswerError as error:
        assert "\n" not in str(error)
