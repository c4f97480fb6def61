"""Colours: two calm themes of evo's own, and what each kind of text looks like in a theme.

There is one accent, which belongs to the champion; green and red are for better and worse alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from rich.style import Style
from rich.text import Text
from textual.theme import Theme

from evo.tui.views.plotting import Piece

DARK = Theme(
    name="evo-dark",
    primary="#6c8ebf",
    secondary="#8a7fb0",
    accent="#e0b354",
    success="#7fb285",
    warning="#d9a05b",
    error="#d7737b",
    foreground="#c9ced6",
    background="#14171c",
    surface="#191d24",
    panel="#20252e",
    variables={
        "block-cursor-background": "#2b3547",
        "block-cursor-foreground": "#e6e9ee",
        "scrollbar": "#323a46",
        "scrollbar-hover": "#455162",
        "scrollbar-active": "#5b6b82",
        "scrollbar-background": "#14171c",
        "scrollbar-background-hover": "#14171c",
        "scrollbar-background-active": "#14171c",
        "scrollbar-corner-color": "#14171c",
        "footer-key-foreground": "#8ba7d1",
    },
)
LIGHT = Theme(
    name="evo-light",
    primary="#35639c",
    secondary="#6a5a98",
    accent="#96690a",
    success="#2e7d43",
    warning="#a8641b",
    error="#b3363f",
    foreground="#24292f",
    background="#fbfbf9",
    surface="#f2f2ee",
    panel="#e7e7e1",
    dark=False,
    variables={
        "block-cursor-background": "#d5deec",
        "block-cursor-foreground": "#14181d",
        "scrollbar": "#cfcfc8",
        "scrollbar-hover": "#b5b5ad",
        "scrollbar-active": "#96968e",
        "scrollbar-background": "#fbfbf9",
        "scrollbar-background-hover": "#fbfbf9",
        "scrollbar-background-active": "#fbfbf9",
        "scrollbar-corner-color": "#fbfbf9",
        "footer-key-foreground": "#35639c",
    },
)
SIXTEEN = "ansi-dark"
"""Textual's own theme that leaves every colour to the terminal's sixteen."""
DEFAULT = DARK.name


def offered() -> list[str]:
    """Names of the themes. Without colours the sixteen would all be one, black on black."""
    return [DARK.name, LIGHT.name, *([] if os.environ.get("NO_COLOR") else [SIXTEEN])]


def chosen(wanted: str) -> str:
    """The theme that somebody left, if it is still one, else the usual one."""
    return wanted if wanted in offered() else DEFAULT


@dataclass(frozen=True, slots=True)
class Palette:
    """Rich styles by what a piece of text means."""

    styles: dict[str, Style]

    def __getitem__(self, name: str) -> Style:
        return self.styles.get(name) or _EMPTY

    def text(self, pieces: Iterable[Piece]) -> Text:
        """One line of pieces."""
        line = Text(no_wrap=True, end="")
        for words, name in pieces:
            line.append(words, self[name])
        return line


_EMPTY = Style()


def palette(theme: Theme) -> Palette:
    """The styles of a theme; names of the sixteen colours where it has no others."""
    if theme.ansi:
        return _SIXTEEN
    dim, faint = ("#7d8794", "#4d5664") if theme.dark else ("#6b7480", "#a5acb5")
    return Palette(
        {
            "dim": Style.parse(dim),
            "faint": Style.parse(faint),
            "axis": Style.parse(faint if theme.dark else dim),
            "title": Style.parse(f"bold {theme.foreground}"),
            "champion": Style.parse(f"bold {theme.accent}"),
            "line": Style.parse(str(theme.accent)),
            "good": Style.parse(str(theme.success)),
            "bad": Style.parse(str(theme.error)),
            "warn": Style.parse(str(theme.warning)),
            "info": Style.parse(theme.primary),
            "kept": Style.parse("#9db4d6" if theme.dark else "#35639c"),
            "ignored": Style.parse("#555f6e" if theme.dark else "#b4bac2"),
            "bar": Style.parse(theme.primary),
            "match": Style.parse("underline"),
            "added": Style.parse("on #1d2e25" if theme.dark else "on #e2f2e4"),
            "removed": Style.parse("on #33202a" if theme.dark else "on #f9e3e3"),
            "cursor": Style.parse("on #2b3547" if theme.dark else "on #d5deec"),
            "resting": Style.parse("on #20252e" if theme.dark else "on #e7e7e1"),
            "header": Style.parse(f"bold {dim}"),
        }
    )


_SIXTEEN = Palette(
    {
        "dim": Style.parse("bright_black"),
        "faint": Style.parse("bright_black"),
        "axis": Style.parse("bright_black"),
        "title": Style.parse("bold"),
        "champion": Style.parse("bold yellow"),
        "line": Style.parse("yellow"),
        "good": Style.parse("green"),
        "bad": Style.parse("red"),
        "warn": Style.parse("bold yellow"),
        "info": Style.parse("blue"),
        "kept": Style.parse("cyan"),
        "ignored": Style.parse("bright_black"),
        "bar": Style.parse("blue"),
        "match": Style.parse("underline"),
        "added": Style.parse("green"),
        "removed": Style.parse("red"),
        "cursor": Style.parse("reverse"),
        "resting": Style.parse("bold"),
        "header": Style.parse("bold"),
    }
)
