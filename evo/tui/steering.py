"""Steering: every action that changes the course, as a menu that is made for the moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from evo.engine.heartbeat import Heartbeat, Phase, RunningTrial
from evo.engine.inbox import Verb
from evo.nouns import Favour
from evo.tui.views.place import Pulse
from evo.tui.views.snapshot import Row, Snapshot

WIDTH = 66
"""Cells of the menu, where its commands needn't name the run."""


@dataclass(frozen=True, slots=True)
class Command:
    """An action by its name, for the command palette."""

    verb: Verb
    title: str
    help: str


COMMANDS = (
    Command(Verb.PAUSE, "Pause", "Start no new trial; those that run go on"),
    Command(Verb.RESUME, "Resume", "Go on after a pause"),
    Command(Verb.HINT, "Hint", "Tell the operators something, from now on"),
    Command(Verb.ENQUEUE, "Enqueue a file", "Have a patch or a file of yours tried next"),
    Command(Verb.RETRY, "Retry a variant", "Run the selected variant again, next"),
    Command(Verb.REPLICATE, "Replicate a variant", "Measure it once more, with a fresh seed"),
    Command(Verb.PIN, "Pin a variant", "Keep the selected variant among the parents"),
    Command(Verb.BAN, "Ban a variant", "Never build on the selected variant again"),
    Command(Verb.KILL, "Kill a trial", "Give it up, and don't hold it against its variant"),
    Command(Verb.PRUNE, "Prune a trial", "Give it up as hopeless"),
    Command(Verb.BUDGET, "Change the budget", "When the session ends"),
    Command(Verb.SLOTS, "Change the slots", "How many trials run at a time"),
    Command(Verb.STOP, "Stop", "Let the running trials finish, or stop now"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the menu: what is asked, and what a person has yet to say."""

    verb: Verb
    title: str
    arguments: dict[str, str] = field(default_factory=dict)
    questions: tuple[tuple[str, str], ...] = ()
    """Names of arguments, and what is asked for each."""
    sure: str = ""
    """Asked once more before it is done; empty for what needs no second thought."""


IDEAS = (
    Choice(Verb.HINT, "Hint: tell the operators something", questions=(("text", "The hint"),)),
    Choice(
        Verb.ENQUEUE,
        "Enqueue: have a patch or a file tried next",
        questions=(
            ("text", "Path of the patch or file"),
            ("title", "What it is called (may be empty)"),
        ),
    ),
)
"""What can be handed in whether an engine works or not."""
BUDGETS = tuple(
    Choice(Verb.BUDGET, f"Budget: {end}", questions=((name, f"How many {unit} from now, or none"),))
    for name, end, unit in (
        ("trials", "stop after N more trials", "trials"),
        ("hours", "stop after H more hours", "hours"),
        ("cost", "stop when models cost USD more", "dollars"),
    )
)
STOPS = (
    Choice(Verb.STOP, "Stop: let the running trials finish", {"how": "finish"}),
    Choice(
        Verb.STOP,
        "Stop now",
        {"how": "now"},
        sure="Stop now? What the running trials have done so far is lost.",
    ),
)


def ready(verb: Verb, pulse: Pulse | None, flag: str) -> str:
    """Why a request can't be made now; empty if it can.

    Args:
        verb: What is asked.
        pulse: What the engine says of itself.
        flag: Names the run in the command that is suggested.
    """
    if verb.needs_engine and not (pulse and pulse.alive):
        return f"no engine works on this run: `evo run{flag}` goes on with it"
    return ""


def choices(
    pulse: Pulse | None, snapshot: Snapshot | None, variant: int | None, verb: Verb | None = None
) -> list[Choice]:
    """What can be done now: to the run, to a variant, and to each running trial.

    Args:
        pulse: What the engine says of itself.
        snapshot: What is known.
        variant: The selected one; None if there is none.
        verb: Leaves out all others.
    """
    beat = pulse.beat if pulse and pulse.alive else None
    found = [pause_choice(beat), *IDEAS] if beat else [*IDEAS]
    if variant is not None:
        found += variant_choices(variant, snapshot.row(variant) if snapshot else None)
    if beat:
        found += [each for trial in beat.running for each in trial_choices(trial)]
        found += [*BUDGETS, slots_choice(beat), *STOPS]
    return [choice for choice in found if verb in (None, choice.verb)]


def pause_choice(beat: Heartbeat) -> Choice:
    """To pause, or to go on after that."""
    if beat.phase is Phase.PAUSED:
        return Choice(Verb.RESUME, "Resume")
    return Choice(Verb.PAUSE, "Pause: start no new trial")


def slots_choice(beat: Heartbeat) -> Choice:
    """To change how many trials run at a time."""
    slots = f"Slots: trials at a time (now {beat.slots})"
    return Choice(Verb.SLOTS, slots, questions=(("count", "Trials at a time"),))


def variant_choices(variant: int, row: Row | None) -> list[Choice]:
    """What can be done with a variant, whose row may not be known yet."""
    name = f"v{variant} {row.title if row else ''}"[:50]
    given = {"variant": str(variant)}
    return [
        Choice(Verb.REPLICATE, f"Replicate {name}", given),
        Choice(Verb.RETRY, f"Retry {name}", given),
        *(favour_choice(verb, row, name, given) for verb in (Verb.PIN, Verb.BAN)),
    ]


def trial_choices(trial: RunningTrial) -> list[Choice]:
    """What can be done with a running trial."""
    name = f"trial {trial.trial}, v{trial.variant} {trial.title}"[:50]
    given = {"trial": str(trial.trial)}
    return [
        Choice(Verb.KILL, f"Kill {name}", given),
        Choice(Verb.PRUNE, f"Prune {name}", given),
    ]


def favour_choice(verb: Verb, row: Row | None, name: str, given: dict[str, str]) -> Choice:
    """To pin or ban a variant, or to take that back where it is so already."""
    favour, what = FAVOURS[verb]
    if row is not None and row.favour == favour:
        return Choice(verb, f"{what[1]} {name}", given | {"off": "yes"})
    return Choice(verb, f"{what[0]} {name}", given)


FAVOURS = {
    Verb.PIN: (Favour.PINNED, ("Pin", "Unpin")),
    Verb.BAN: (Favour.BANNED, ("Ban", "Lift the ban on")),
}


class Steering(ModalScreen[Choice | None]):
    """The menu.

    Args:
        choices: Its lines.
        alive: Whether an engine works.
        flag: Names the run in the command that does the same.
    """

    CSS = """
    Steering { align: center middle; background: $background 60%; }
    #menu { max-width: 95%; height: auto; max-height: 90%; background: $panel;
            padding: 1 2; border: round $primary; }
    #menu OptionList { height: auto; max-height: 20; background: $panel; border: none;
                       padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,s", "close", "Close"),
        Binding("j", "down", "Down", show=False),
        Binding("k", "up", "Up", show=False),
    ]

    def __init__(self, choices: list[Choice], *, alive: bool, flag: str) -> None:
        super().__init__()
        self._choices, self._alive, self._flag = choices, alive, flag

    def compose(self) -> ComposeResult:
        with Vertical(id="menu") as menu:
            menu.styles.width = WIDTH + len(self._flag)
            menu.border_title = "" if self._alive else "No engine works: it waits for the next"
            yield OptionList(*(Option(Text(one.title)) for one in self._choices))

    def action_down(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        self.query_one(OptionList).action_cursor_up()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        verb = self._choices[event.option_index].verb
        meaning = next(one.help for one in COMMANDS if one.verb is verb)
        self.query_one("#menu").border_subtitle = f"{meaning}: evo {verb}{self._flag}"

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index])

    def action_close(self) -> None:
        self.dismiss(None)
