"""Text from candidates, made safe to show: no control codes, no endless lines, no flood."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Mapping

MOST_LINE_CHARACTERS = 2_000
MOST_CHARACTERS = 1_000_000
LEAST_SECRET_CHARACTERS = 6
_SECRET = re.compile(r"(?i)(key|token|secret|password)")
_KEY = re.compile(r"\b(sk|pk|rk|key|Bearer)[-_ ][A-Za-z0-9*_.-]{8,}")
_DIGIT = re.compile(r"\d")
_WORD = re.compile(r"(?<![\w/.-])[\w-]{20,}(?![\w/.-])")
_KEPT = {"\n", "\t"}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Unicode categories of controls, format characters (the bidirectional overrides are among them),
surrogates, private use, and separators of lines and paragraphs."""


def clean_text(
    text: str,
    *,
    most_line_characters: int = MOST_LINE_CHARACTERS,
    most_characters: int = MOST_CHARACTERS,
) -> str:
    """Text that can be printed on a terminal, kept in a log or quoted in a prompt.

    A carriage return before a line feed goes; any other hidden character becomes `·`, so that one
    sees that something was there.

    Args:
        text: From anywhere.
        most_line_characters: Longer lines are cut, with a note of how much.
        most_characters: Of the whole; the rest is cut, with a note.
    """
    left_out = len(text) - most_characters
    if left_out > 0:
        text = f"{text[:most_characters]}\n[{left_out:,} characters left out]"
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(_clean_line(line, most_line_characters) for line in lines)


def _clean_line(line: str, most_characters: int) -> str:
    left_out = len(line) - most_characters
    if left_out > 0:
        line = f"{line[:most_characters]} [{left_out:,} characters left out]"
    if line.isascii() and line.isprintable():
        return line
    return "".join(
        "·" if unicodedata.category(one) in _HIDDEN and one not in _KEPT else one for one in line
    )


def hide(text: str, variables: Mapping[str, str]) -> str:
    """A text without the secrets among some variables of an environment.

    Args:
        text: From anywhere.
        variables: One with a secret's name is one, as is any long word of letters and digits in
            the others.
    """
    hidden = set[str]()
    for name, value in variables.items():
        if _SECRET.search(name) and len(value) >= LEAST_SECRET_CHARACTERS:
            hidden.add(value)
        hidden.update(word for word in _WORD.findall(value) if _DIGIT.search(word))
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text


def redact(text: str, variables: Mapping[str, str]) -> str:
    """The same for what isn't code: whatever looks like a key goes too."""
    return _KEY.sub("[secret]", hide(text, variables))


class StreamCleaner:
    """Cleans bytes as they come, for a file that a person will print on a terminal.

    Undecodable bytes are replaced, hidden characters become `·`, lines are cut; a carriage return
    ends a line, for programs use it to draw over what they drew before.

    Args:
        most_line_characters: The rest of a longer line is left out.
    """

    def __init__(self, most_line_characters: int = MOST_LINE_CHARACTERS) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._most = most_line_characters
        self._column = 0

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """What may be written for these bytes.

        Args:
            data: The next ones, cut anywhere.
            final: Whether they are the last.
        """
        text = self._decoder.decode(data, final)
        parts = []
        for line in text.replace("\r\n", "\n").replace("\r", "\n").splitlines(keepends=True):
            body = line.removesuffix("\n")
            room = max(0, self._most - self._column)
            parts.append(_clean_line(body[:room], self._most))
            self._column += len(body)
            if line.endswith("\n"):
                parts.append("\n")
                self._column = 0
        return "".join(parts).encode("utf-8", "replace")
