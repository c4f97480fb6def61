"""Colours of code: a line of a diff, its tokens on a background that says what became of it."""

from __future__ import annotations

from functools import lru_cache

from pygments.lexers.python import PythonLexer
from pygments.token import Token
from rich.text import Text

from evo.tui.theme import Palette

MOST_COLOURED = 400
"""Characters of a line beyond which it is shown as it is."""
_DARK = {
    Token.Comment: "italic #7d8794", Token.Keyword: "#b294bb", Token.Literal.String: "#a3b88c",
    Token.Literal.Number: "#d0a070", Token.Name.Function: "#8fb0d9", Token.Name.Class: "#8fb0d9",
    Token.Name.Builtin: "#8ab4b8", Token.Operator: "#9aa5b1",
}  # fmt: skip
_LIGHT = {
    Token.Comment: "italic #6b7480", Token.Keyword: "#7a3e9d", Token.Literal.String: "#3d6b1f",
    Token.Literal.Number: "#96590a", Token.Name.Function: "#2a5a9b", Token.Name.Class: "#2a5a9b",
    Token.Name.Builtin: "#22686d", Token.Operator: "#57606a",
}  # fmt: skip


@lru_cache(maxsize=1)
def _lexer() -> PythonLexer:
    return PythonLexer(stripnl=False, ensurenl=False)


def diff_line(line: str, palette: Palette, *, dark: bool) -> Text:
    """A line of a unified diff."""
    text = Text(line, no_wrap=True, end="")
    if line.startswith(("+++", "---")):
        text.stylize(palette["dim"])
    elif line.startswith("@@"):
        text.stylize(palette["info"])
    else:
        kind = {"+": "added", "-": "removed"}.get(line[:1], "")
        if palette["added"].bgcolor is not None:
            _colour(text, line, _DARK if dark else _LIGHT)
        if kind:
            text.stylize(palette["good" if kind == "added" else "bad"], 0, 1)
            text.stylize_before(palette[kind])
            text.pad_right(max(200 - len(line), 0))
            text.stylize_before(palette[kind])
    return text


def _colour(text: Text, line: str, styles: dict[object, str]) -> None:
    if len(line) > MOST_COLOURED:
        return
    at = 1
    for kind, words in _lexer().get_tokens(line[1:]):
        token = kind
        while token is not None and token not in styles:
            token = token.parent
        if token is not None:
            text.stylize(styles[token], at, at + len(words))
        at += len(words)
