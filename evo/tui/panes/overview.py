"""The overview: whether the night was worth it, at a glance, and what goes on now."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Static

from evo.engine.inbox import REFUSED, Request
from evo.report import words
from evo.text import clean_text
from evo.tui.panes.pane import Pane
from evo.tui.rows import TextRows
from evo.tui.theme import palette
from evo.tui.views import overview as view
from evo.tui.views import running
from evo.tui.views.overview import Contender, Pace
from evo.tui.views.place import Place, Pulse
from evo.tui.views.plotting import Piece, plot
from evo.tui.views.snapshot import Snapshot

MOST_RUNNING, FEW_RUNNING = 8, 4
"""Trials that are shown, and where there are few lines."""
DAY_SECONDS = 86_400.0
KEEP = 0.85
"""Share of the trials that the plot's height is made for; the worst are shown at its edge."""


class ProgressPlot(Widget):
    """Every trial as a point, kept ones bright, and the champions as a line."""

    DEFAULT_CSS = "ProgressPlot { width: 1fr; height: 1fr; min-height: 4; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._snapshot: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.refresh()

    def render(self) -> Text:
        colours = palette(self.app.current_theme)
        rows = [] if self._snapshot is None else self._rows(self._snapshot)
        return Text("\n").join(colours.text(row) for row in rows)

    def _rows(self, snapshot: Snapshot) -> list[list[Piece]]:
        (width, height), way = self.size, snapshot.facts.direction
        layers = view.progress(snapshot, few=len(snapshot.points) <= 2 * width)
        return plot(layers, width, height, keep=KEEP, direction=way)


class OverviewPane(Pane):
    """Best so far, progress, what runs, what waits, what happened."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    OverviewPane { padding: 0 1; }
    OverviewPane Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    OverviewPane .caption { height: 1; color: $text-muted; }
    .-tall #headline, .-tall #pace { padding: 1 0 0 0; }
    #middle { height: 1fr; min-height: 4; }
    .-tall #middle { padding: 1 0; }
    #side { width: 50; padding: 0 0 0 2; display: none; }
    .-wide #side, .-huge #side { display: block; }
    .-huge #side { width: 90; }
    #events { height: 3; }
    .-tall #events { height: 6; }
    .-huge #events { height: 12; }
    .-tall #asked, .-tall #failures, .-tall #running { padding: 0 0 1 0; }
    """

    def __init__(self, place: Place, *, id: str) -> None:
        super().__init__(place, id=id)
        self._metric = ""
        self._alive = False
        self._ahead: Contender | None = None
        self._drawn: tuple[Pulse, Snapshot | None] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="headline")
        yield Static(id="pace")
        with Horizontal(id="middle"):
            yield ProgressPlot(id="progress")
            yield Static(id="side")
        yield Static(id="running")
        yield Static(id="asked")
        yield Static(id="failures")
        yield Static("Last events", classes="caption")
        yield TextRows(id="events")

    def show(self, snapshot: Snapshot) -> None:
        self.query_one(ProgressPlot).show(snapshot)
        self._ahead = view.contender(snapshot)

    def on_resize(self) -> None:
        if self._drawn is not None:
            self.beat(*self._drawn)

    def beat(self, pulse: Pulse, snapshot: Snapshot | None) -> None:
        self._drawn = pulse, snapshot
        line = self.palette.text
        self._metric = snapshot.facts.metric if snapshot else ""
        self._alive = pulse.alive
        if snapshot is None:
            waiting = "The baseline runs: nothing is published before it has a score."
            if pulse.stamp is not None:
                waiting = "The archive is being read."
            elif not pulse.alive:
                waiting = f"Nothing is published yet; `evo run{self.place.flag}` starts a search."
            self.put("#headline", line([(waiting, "dim")]))
        else:
            self._headline(snapshot, view.last_moment(pulse, snapshot))
            self._pace(view.pace(pulse, snapshot), snapshot)
            self._side(pulse, snapshot)
        self._show_running(pulse, snapshot)
        self._asked(pulse, snapshot)
        self._events(pulse.events or (view.history(snapshot) if snapshot else ()))

    def settle(self) -> None:
        self.query_one("#events", TextRows).focus()

    # The parts

    def _headline(self, snapshot: Snapshot, now: float) -> None:
        found, wide = view.best(snapshot), self.size.width >= 100
        line, metric = self.palette.text, snapshot.facts.metric
        if found is None:
            text = line([("No score yet: ", "title"), ("the baseline hasn't been measured", "dim")])
            self.put("#headline", text)
            return
        error = f" ± {found.error:.4f}" if found.error is not None else ""
        trials = f" ({found.row.trials} trial{'s' if found.row.trials != 1 else ''})"
        first: list[Piece] = [
            (f"{metric} ", "dim"),
            ("self-reported " if snapshot.facts.self_reported else "", "warn"),
            (words.score(found.row.score), "champion"),
            (error, "champion"),
            (trials if wide else "", "dim"),
        ]
        if found.gain is None or found.row.id == 0:
            first.append(("   no gain yet: the baseline leads", "dim"))
        else:
            gain_error = f" ± {found.gain_error:.4f}" if found.gain_error is not None else ""
            share = f" ({found.share:.1%})" if found.share is not None else ""
            arrow = "▲" if found.gain > 0 else "▼"
            first.append((f"   {arrow} {abs(found.gain):.4f}{gain_error}{share}", "good"))
            than = "better than" if found.gain > 0 else "worse than"
            first.append((f" {than} the baseline" if wide else "", "dim"))
        second: list[Piece] = [(f"v{found.row.id} ", "champion"), (found.row.title, "")]
        recent = view.gain_since(snapshot, DAY_SECONDS, now)
        when = "in 24 h" if self._alive else "in its last 24 h"
        if recent is None and (age := view.age(snapshot, now)) >= view.LEAST_SPAN_SECONDS:
            recent, when = found.gain, f"in {words.ago(age)}, since it began"
        if recent is not None:
            said = words.gain(recent) if recent else "nothing better"
            second.insert(0, (f"{said} {when}   ", "good" if recent > 0 else "warn"))
        lines = [first, second, *self._contender()]
        self.put("#headline", Text("\n").join(map(line, lines)))

    def _contender(self) -> list[list[Piece]]:
        found = self._ahead
        if found is None:
            return []
        row, error = found.row, f" ± {found.error:.4f}" if found.error is not None else ""
        if found.awaited:
            measured = "once" if row.trials == 1 else f"{row.trials} times"
            said = f"seems {words.gain(found.gain)}{error} better still, measured {measured}"
            rest = ": it leads once that is proven"
        else:
            trials = words.counted(row.trials, "trial")
            said, rest = f"scored {words.score(row.score)} ({trials})", ", which may still be luck"
        title = f"   {row.title}" if self.size.width >= 100 else ""
        return [[(f"v{row.id} ", "title"), (said, "info"), (rest, "dim"), (title, "dim")]]

    def _pace(self, pace: Pace, snapshot: Snapshot) -> None:
        wanted = f"/{pace.wanted:,}" if pace.wanted is not None else ""
        parts: list[tuple[str, str]] = [
            ("tried", f"{pace.finished:,}{wanted}"),
            ("scored", f"{pace.scored:,}"),
        ]
        if self.size.width >= 100:
            parts += [] if pace.living is None else [("living", f"{pace.living}")]
            parts.append(("refused", f"{pace.refused:,}"))
        if pace.per_hour is not None:
            parts.append(("trials/h", words.short(pace.per_hour)))
        if pace.busy is not None:
            parts.append(("busy", f"{pace.busy:.0%}"))
        if pace.tokens_per_second:
            parts.append(("tok/s", words.short(pace.tokens_per_second)))
        spend = snapshot.spend
        if pace.limit_usd is not None:
            limit = words.money(pace.limit_usd)
            parts.append(("spent", f"{words.money(pace.spent_usd)} of {limit}"))
        elif spend.usd:
            parts.append(("spent", words.money(spend.usd)))
        if spend.tokens and self.size.width >= 140:
            parts.append(("model tokens", words.short(spend.tokens)))
        if spend.training_seconds and self.size.width >= 140:
            parts.append(("trained for", words.duration(spend.training_seconds)))
        if pace.left is not None:
            parts.append(("stops in", words.duration(pace.left)))
        pieces: list[Piece] = []
        gap = "   " if self.size.width >= 100 else "  "
        for name, value in parts:
            pieces += [(f"{name} ", "dim"), (value, "title"), (gap, "")]
        self.put("#pace", self.palette.text(pieces))

    def _show_running(self, pulse: Pulse, snapshot: Snapshot | None) -> None:
        trials = pulse.beat.running if pulse.beat and pulse.alive else ()
        most = MOST_RUNNING if self.app.size.height >= 30 else FEW_RUNNING
        lines: list[list[Piece]] = [[(self._running_caption(pulse, snapshot), "dim")]]
        for trial in trials[:most]:
            curve = pulse.live.get(trial.trial, ())
            parent = self.run_app.parent_curve(trial.variant)
            lines.append(running.line(running.live(trial, curve, parent), self.size.width))
        if len(trials) > most:
            lines.append([(f"and {len(trials) - most} more", "dim")])
        self.put_lines("#running", lines if pulse.alive else [])

    def _running_caption(self, pulse: Pulse, snapshot: Snapshot | None) -> str:
        if pulse.beat is None:
            return ""
        beat, device = pulse.beat, snapshot.facts.device if snapshot else ""
        where = f" on {device}" if device else ""
        return f"Running {len(beat.running)} of {beat.slots} slots{where}, {beat.queued} queued"

    def _asked(self, pulse: Pulse, snapshot: Snapshot | None) -> None:
        lines = [self._pending(request, pulse) for request in pulse.pending[-3:]]
        asked = self.run_app.asked
        for one in snapshot.answered if snapshot else ():
            if one.id in asked and len(lines) < 4:
                refused = one.outcome.startswith(REFUSED)
                lines.append(
                    [
                        ("✗ ", "bad") if refused else ("✓ ", "good"),
                        (f"{one.verb} {asked[one.id]}".rstrip() + f": {one.outcome}", "dim"),
                    ]
                )
        self.put_lines("#asked", lines)

    def _pending(self, request: Request, pulse: Pulse) -> list[Piece]:
        given = " ".join(clean_text(value)[:60] for value in request.arguments.values())
        ago = words.ago(pulse.at - request.at)
        return [
            ("⧗ ", "warn"),
            (f"{request.verb} {given} ".replace("\n", " "), ""),
            (f"asked {ago} ago by {clean_text(request.who)}, not taken yet", "dim"),
        ]

    def _events(self, events: Sequence[str]) -> None:
        self.query_one("#events", TextRows).show([self._event(line) for line in reversed(events)])

    def _event(self, line: str) -> Text:
        when, _, rest = line.partition("  ")
        kind, _, said = rest.partition(" ")
        style = {"champion": "champion", "failed": "bad", "lost": "warn", "refused": "faint"}
        if self._metric:
            said = said.replace(f"{self._metric} ", "")
        said = view.gist_of_event(" ".join(said.split()))
        return self.palette.text(
            [
                (f"{when[11:19]} ", "faint"),
                (f"{kind:<9}", style.get(kind, "dim")),
                (said, style.get(kind, "")),
            ]
        )

    def _side(self, pulse: Pulse, snapshot: Snapshot) -> None:
        self.put("#side", Text("\n").join(map(self.palette.text, view.side(pulse, snapshot))))
        self.put_lines("#failures", view.failures(snapshot, self.size.width)[: self._most_failures])

    @property
    def _most_failures(self) -> int:
        """Lines, with the caption."""
        return view.MOST_FAILURES + 1 if self.app.size.height >= 30 else 3
