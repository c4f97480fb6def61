"""Numbers as people read them: durations, counts, sizes and scores."""

from __future__ import annotations

NOTHING = "–"
"""Stands where nobody knows."""
BETTER, WORSE = "▲", "▼"


def duration(seconds: float | None) -> str:
    """Seconds as `h:mm:ss` or `m:ss`; a dash where nobody knows."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def ago(seconds: float) -> str:
    """How long something is past, in its largest unit: `8 s`, `3 min`, `5 h`, `2 d`.

    A clock that was set back makes it less than nothing, which is shown as `0 s`.
    """
    for unit, size, least in (("d", 86400, 172800), ("h", 3600, 7200), ("min", 60, 120)):
        if seconds >= least:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def score(value: float | None) -> str:
    """A score, with four decimals as everywhere."""
    return NOTHING if value is None else f"{value:.4f}"


def effect(value: float | None) -> str:
    """A difference of scores, with its sign."""
    return NOTHING if value is None else f"{value:+.4f}"


def gain(value: float | None, better: bool | None = None) -> str:
    """A difference of scores with a mark that says what it means, whichever way the metric goes.

    Args:
        value: More is better, unless `better` says otherwise.
        better: Whether the difference is one for the better.
    """
    if value is None:
        return NOTHING
    return f"{BETTER if (value > 0 if better is None else better) else WORSE}{abs(value):.4f}"


def short(value: float | None) -> str:
    """A count in three to four characters: 873, 12.3k, 4.5M."""
    if value is None:
        return NOTHING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scaled = value / (1e3 if unit == "k" else size)
            return f"{scaled:.1f}{unit}" if abs(scaled) < 100 else f"{scaled:.0f}{unit}"
    return f"{value:,.0f}"


def counted(number: int, noun: str) -> str:
    """A number of things: `1 trial`, `3 trials`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def megabytes(value: float | None) -> str:
    """A size given in megabytes, as MB or GB."""
    if value is None:
        return NOTHING
    return f"{value / 1024:.1f} GB" if value >= 1024 else f"{value:.0f} MB"


def money(usd: float) -> str:
    """US dollars, with cents while they matter."""
    return f"${usd:,.2f}" if usd < 1000 else f"${usd:,.0f}"
