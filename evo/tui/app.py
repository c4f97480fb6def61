"""The app: looks at a run's files on threads of their own, and tells the screens the news."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import Screen
from textual.worker import get_current_worker

from evo.archive.reading import Reader
from evo.engine import heartbeat, inbox
from evo.engine.inbox import Verb
from evo.errors import ArchiveError
from evo.nouns import CurvePoint
from evo.tui import theme
from evo.tui.dialogs import WORDS, Help, Leave, LeaveHow, Line, Sure, keys, own_bindings
from evo.tui.notices import Notifier
from evo.tui.screens import RunScreen, TooSmall
from evo.tui.steering import COMMANDS, Steering, choices, ready
from evo.tui.views.early import EarlyLook
from evo.tui.views.place import Place, Pulse, Stamp, look
from evo.tui.views.snapshot import Snapshot, load
from evo.tui.views.state import State

LOOK_SECONDS = 1.0
KEEP_SECONDS = 10.0
LEAST_SIZE = (60, 16)


class RunApp(App[LeaveHow]):
    """Watches one run.

    Args:
        place: Where its files are.
        state: What is kept between sessions.
        clock: Unix seconds.
        notifier: Tells people who don't look.
        early: A first look that was begun before.
    """

    TITLE = "evo"
    CSS = """
    Screen { background: $background; }
    Toast { background: $panel; }
    """
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - as App declares it
        (0, "-narrow"),
        (110, "-wide"),
        (190, "-huge"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "steer", "Steer"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "leave", "Leave", priority=False),
        Binding("ctrl+c,ctrl+q", "leave", "Leave", show=False, priority=False),
        Binding("ctrl+t", "next_theme", "Theme", show=False),
        Binding("P", "pause", "Pause", show=False),
        Binding("H", "hint", "Hint", show=False),
    ]

    class Beat(Message):
        """A second has passed."""

        def __init__(self, pulse: Pulse) -> None:
            super().__init__()
            self.pulse = pulse

    class Published(Message):
        """Another copy of the archive was read, or couldn't be."""

        def __init__(self, snapshot: Snapshot | None, error: str) -> None:
            super().__init__()
            self.snapshot, self.error = snapshot, error

    def __init__(
        self,
        place: Place,
        state: State,
        *,
        clock: Callable[[], float] = time.time,
        notifier: Notifier | None = None,
        early: EarlyLook | None = None,
    ) -> None:
        super().__init__()
        self.place, self.state, self.clock = place, state, clock
        self.pulse: Pulse | None = None
        self.snapshot: Snapshot | None = None
        self.trouble = ""
        """Why the archive can't be read; empty if it can."""
        self.asked: dict[str, str] = {}
        """What was asked from here, by the request's id, in words."""
        self.notifier = notifier or Notifier()
        self._early = early
        self._curves: dict[int, tuple[CurvePoint, ...]] = {}
        self._wake = threading.Event()
        for one in (theme.DARK, theme.LIGHT):
            self.register_theme(one)

    async def on_mount(self) -> None:
        self.theme = theme.chosen(self.state.theme)
        self.set_interval(KEEP_SECONDS, self._keep)  # a terminal may be lost at any time
        await self.push_screen(RunScreen(self.place, self.state.screen))
        self._watch()  # news find a screen that is there

    # What is read

    @work(thread=True, exclusive=True, group="watch")
    def _watch(self) -> None:
        worker, seen, first = get_current_worker(), None, True
        while not worker.is_cancelled:
            pulse = look(self.place, self.clock())
            self.post_message(self.Beat(pulse))
            if first or pulse.stamp != seen:
                seen, first = pulse.stamp, False
                self._read(pulse.stamp)
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _read(self, stamp: Stamp | None) -> None:
        if stamp is None:
            self.post_message(self.Published(None, ""))
            return
        early, self._early = self._early, None
        snapshot = early.take(stamp) if early else None
        if snapshot is not None:
            self.post_message(self.Published(snapshot, ""))  # curves can wait
        try:
            with Reader.open(self.place.archive) as reader:
                snapshot = snapshot or load(reader)
                curves = _parent_curves(reader, self.pulse)
        except ArchiveError as error:
            self.post_message(self.Published(None, str(error)))
            return
        self._curves = curves
        self.post_message(self.Published(snapshot, ""))

    def look_now(self) -> None:
        """Has the files looked at without waiting for the next second."""
        self._wake.set()

    def open_variant(self, variant: int) -> None:
        """Turns to the lineage, at a variant."""
        if (screen := self._run_screen()) is not None:
            screen.open_variant(variant)

    def parent_curve(self, variant: int) -> tuple[CurvePoint, ...]:
        """Loss curve of a variant's first parent; empty if it isn't known."""
        row = self.snapshot.row(variant) if self.snapshot else None
        return self._curves.get(row.parents[0], ()) if row and row.parents else ()

    def on_run_app_beat(self, message: Beat) -> None:
        self.pulse = message.pulse
        self.notifier.watch(self, message.pulse, self.snapshot)
        if isinstance(screen := self._run_screen(), RunScreen):
            screen.beat(message.pulse, self.snapshot, self.trouble)
        if isinstance(self.screen, Leave):
            self.screen.beat(message.pulse)

    def on_run_app_published(self, message: Published) -> None:
        self.trouble = message.error
        if message.snapshot is not None or not message.error:
            self.snapshot = message.snapshot
        if isinstance(screen := self._run_screen(), RunScreen):
            if self.snapshot is not None:
                screen.show(self.snapshot)
            if self.pulse is not None:
                screen.beat(self.pulse, self.snapshot, self.trouble)
        if not gc.isenabled():  # see `attach`
            gc.freeze()
            gc.enable()

    def _run_screen(self) -> RunScreen | None:
        return next((one for one in self.screen_stack if isinstance(one, RunScreen)), None)

    def _handle_exception(self, error: Exception) -> None:
        """While the app closes its parts go one by one: news for one that is gone is too late."""
        if self.is_running or not isinstance(error, NoMatches):
            super()._handle_exception(error)

    # Size

    def on_resize(self, event: events.Resize) -> None:
        small = event.size.width < LEAST_SIZE[0] or event.size.height < LEAST_SIZE[1]
        if small and not isinstance(self.screen, TooSmall):
            self.push_screen(TooSmall(LEAST_SIZE))
        elif not small and isinstance(self.screen, TooSmall):
            self.pop_screen()

    # Steering

    def ask(self, verb: Verb, **arguments: str) -> None:
        """Leaves a request for the engine, and shows it as asked until it is answered."""
        cause = ready(verb, self.pulse, self.place.flag)
        if cause or self.place.folder is None:
            self.notify(cause or "an archive can't be steered", severity="warning")
            return
        try:
            request = inbox.ask(self.place.folder, verb, **arguments)
        except OSError as error:
            self.notify(f"can't ask: {error}", severity="error")
            return
        words = " ".join(" ".join(arguments.values()).split())[:60]
        self.asked[request.id] = words
        self.notify(f"{verb} {words}".strip(), title="Asked", timeout=3)
        self.look_now()

    def action_pause(self) -> None:
        beat = self.pulse.beat if self.pulse else None
        paused = beat is not None and beat.phase == "paused"
        self.ask(Verb.RESUME if paused else Verb.PAUSE)

    @work
    async def action_hint(self) -> None:
        text = await self.push_screen_wait(Line("A hint for the operators, from now on"))
        if text:
            self.ask(Verb.HINT, text=text)

    def action_steer(self) -> None:
        """The menu of everything that can be done to the run."""
        self._steer()

    @work
    async def _steer(self, verb: Verb | None = None) -> None:
        screen = self._run_screen()
        variant = screen.selected() if screen else None
        if variant is None and self.snapshot is not None:
            variant = self.snapshot.champion
        offered = choices(self.pulse, self.snapshot, variant, verb)
        if not offered:
            self.notify("there is nothing of that kind now", severity="warning")
            return
        alive = bool(self.pulse and self.pulse.alive)
        menu = Steering(offered, alive=alive, flag=self.place.flag)
        chosen = await self.push_screen_wait(menu)
        if chosen is None or (chosen.sure and not await self.push_screen_wait(Sure(chosen.sure))):
            return
        arguments = dict(chosen.arguments)
        for name, question in chosen.questions:
            answer = await self.push_screen_wait(Line(question))
            if answer is None or (not answer and name != "title"):
                return
            if name == "text" and chosen.verb is Verb.ENQUEUE:
                answer = self._file(answer)
                if not answer:
                    return
            arguments[name] = answer
        self.ask(chosen.verb, **arguments)

    def _file(self, name: str) -> str:
        try:
            return Path(name).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.notify(f"{name} can't be read: {error}", severity="error")
            return ""

    # Habits

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for command in super().get_system_commands(screen):
            if command.title != "Quit":  # it would leave without asking
                yield command
        if isinstance(screen, RunScreen):
            for number, (name, title) in enumerate(RunScreen.TABS, 1):
                yield SystemCommand(
                    f"Go to {title}", f"Key {number}", lambda name=name: screen.goto(name)
                )
        for node in (screen.focused or screen).ancestors_with_self:
            for binding in own_bindings(node):
                if binding.description and node not in (self, screen):
                    yield SystemCommand(
                        binding.description,
                        f"Key {self.get_key_display(binding)}",
                        partial(self.call_later, self.run_action, binding.action, node),
                    )
        for steering in COMMANDS:
            yield SystemCommand(steering.title, steering.help, partial(self.start, steering.verb))
        yield SystemCommand("Leave", "Detach, finish or stop", self.action_leave)

    def start(self, verb: Verb) -> None:
        """One of the steering commands, from the palette."""
        if verb is Verb.HINT:
            self.action_hint()
        elif verb in (Verb.PAUSE, Verb.RESUME):
            self.ask(verb)
        else:
            self._steer(verb)

    def action_next_theme(self) -> None:
        names = theme.offered()
        at = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(at + 1) % len(names)]

    def action_help(self) -> None:
        if not isinstance(self.screen, Help):
            self.push_screen(Help([*keys(self), ("ctrl+p", "Everything by name")], WORDS))

    @work
    async def action_leave(self) -> None:
        """Asks what is to become of the engine, if there is one."""
        how = LeaveHow.DETACH
        if self.pulse is not None and self.pulse.alive:
            if isinstance(self.screen, Leave):
                return
            chosen = await self.push_screen_wait(Leave(self.pulse))
            if chosen is None:
                return
            how = chosen if self._is_alive() else LeaveHow.DETACH
            if how is not LeaveHow.DETACH:
                self.ask(Verb.STOP, how=how.value)
        self._keep()
        self.exit(how)

    def _is_alive(self) -> bool:
        """Whether the engine is at work at this moment, and not as of the last look."""
        folder = self.place.folder
        return folder is not None and heartbeat.alive(heartbeat.read(folder))

    def _keep(self) -> None:
        screen = self._run_screen()
        self.state.theme = self.theme
        if screen is not None:
            self.state.screen = screen.current
            screen.keep(self.state)
        self.state.save()


def _parent_curves(reader: Reader, pulse: Pulse | None) -> dict[int, tuple[CurvePoint, ...]]:
    """Loss curves of the parents of what runs, from their last scored trials."""
    running = [one.variant for one in pulse.beat.running] if pulse and pulse.beat else []
    if not running:
        return {}
    marks = ", ".join("?" for _ in running)
    rows = reader.query(
        "SELECT p.parent, c.elapsed_seconds, c.step, c.loss FROM curves c JOIN ("
        "SELECT parent, (SELECT max(id) FROM trials t WHERE t.variant = k.parent "
        f"AND t.status = 'scored') AS trial FROM parents k WHERE variant IN ({marks}) "
        "AND position = 0 GROUP BY parent) p ON p.trial = c.trial ORDER BY 1, 2",
        running,
    ).rows
    curves: dict[int, list[CurvePoint]] = {}
    for parent, elapsed, step, loss in rows:
        curves.setdefault(parent, []).append(CurvePoint(elapsed, step, loss))
    return {parent: tuple(points) for parent, points in curves.items()}
