"""Text from candidates: whatever it holds, nothing of it acts on a terminal."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.text import StreamCleaner, clean_text, hide, redact


@given(st.text())
def test_nothing_hidden_is_left_but_line_feeds_and_tabs(text: str) -> None:
    for one in clean_text(text):
        assert one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co")
        assert one not in "\u2028\u2029"


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\x1b[2Jred\x1b[0m", "·[2Jred·[0m"),
        ("one\r\ntwo\rthree", "one\ntwo·three"),
        ("\u202egnp.exe", "·gnp.exe"),
        ("bell\x07 null\0 c1\x9b", "bell· null· c1·"),
        ("tab\there", "tab\there"),
    ],
)
def test_what_would_act_on_a_terminal_becomes_a_dot(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_floods_are_cut_and_say_so() -> None:
    assert clean_text("x" * 50, most_line_characters=10) == "x" * 10 + " [40 characters left out]"
    assert clean_text("ab\n" * 9, most_characters=4).endswith("[23 characters left out]")


HOSTILE = "\x1b[2J\x1b]0;title\x07é漢\r\nloss 1\rloss 2\n\u202egpj\x00 end"


@given(st.lists(st.integers(0, len(HOSTILE.encode())), max_size=5))
def test_a_stream_is_cleaned_the_same_however_it_is_cut(cuts: list[int]) -> None:
    data, cleaner = HOSTILE.encode(), StreamCleaner()
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    found = b"".join(cleaner.feed(piece) for piece in pieces) + cleaner.feed(b"", final=True)
    text = found.decode()
    assert "\x1b" not in text and "\x00" not in text and "\u202e" not in text
    assert "é漢" in text
    assert [line for line in text.split("\n") if line.startswith("loss")] == ["loss 1", "loss 2"]


def test_an_endless_line_is_cut_and_undecodable_bytes_are_replaced() -> None:
    cleaner = StreamCleaner(most_line_characters=10)
    found = b"".join(cleaner.feed(b"x" * 7) for _ in range(1000)) + cleaner.feed(b"\nab\xff\xfe")
    assert found.decode() == "x" * 10 + "\nab\ufffd\ufffd"


def test_secrets_are_taken_out_of_what_a_server_says() -> None:
    said = redact(
        "wrong key hunter2000 and sk-proj-abcdefghij for PATH_LIKE",
        {"MY_API_KEY": "hunter2000", "PLACE": "PATH_LIKE"},
    )
    assert said == "wrong key [secret] and [secret] for PATH_LIKE"


def test_a_key_within_a_variable_is_a_secret_and_a_path_is_none() -> None:
    key = "abcdef0123456789abcdef01"
    variables = {"CONFIG": f'{{"apiKey": "{key}"}}', "PATH": "/opt/versions-of-python-3-11/bin"}
    assert redact(f"x {key} y", variables) == "x [secret] y"
    assert redact("in /opt/versions-of-python-3-11/bin", variables).endswith("3-11/bin")


def test_code_keeps_its_names() -> None:
    assert hide("key_projection = model.key_weights", {}) == "key_projection = model.key_weights"
