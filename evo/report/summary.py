"""What is printed when a search ends, and by `evo best`, `evo show` and `evo lineage`."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evo.archive.reading import Reader
from evo.errors import ArchiveError
from evo.report import words
from evo.report.story import Score, Step, Story, resolve, tell, unconfirmed
from evo.text import clean_text


class AtWork(Enum):
    """Whether an engine works on a run, as far as it matters for what to type next."""

    NOBODY = auto()
    SEARCHING = auto()
    PAUSED = auto()
    FINISHING = auto()


def print_summary(
    archive: Path, console: Console, flag: str = "", *, engine: AtWork = AtWork.NOBODY
) -> None:
    """The end of a search: best variant, its gain, the diffs that brought it, what to type next.

    Args:
        archive: The published one.
        console: Where it is printed.
        flag: What commands need to mean this run, as in ` --run night`; empty if nothing.
        engine: Whether one works on the run.
    """
    with Reader.open(archive) as reader:
        _print_counts(reader, console)
        try:
            story = tell(reader, resolve(reader, "best"))
        except ArchiveError as error:
            console.print(str(error), highlight=False)
            return
        contender = unconfirmed(reader, story)
    print_best(story, console)
    if contender is not None:
        console.print(
            f"\nv{contender.variant} scored {contender.score}, which may still be luck; "
            f"{_who_finds_out(flag, engine)}",
            highlight=False,
        )
    commands = _look(story, contender, flag) | _go_on(flag, engine)
    width = max(32, *map(len, commands))
    console.print("\nnext", style="bold")
    for command, what in commands.items():
        console.print(f"  {command:<{width}} {what}", highlight=False)


def _print_counts(reader: Reader, console: Console) -> None:
    counts = reader.query(
        "SELECT count(*), count(*) FILTER (status = 'scored'), count(DISTINCT variant), "
        "(SELECT count(*) FROM variants WHERE operator = 'crossover'), "
        "count(*) FILTER (sandbox = 'open') "
        "FROM trials WHERE status NOT IN ('queued', 'running')"
    ).rows[0]
    console.print(
        f"{words.counted(counts[0], 'trial')}, {counts[1]} with a score, of "
        f"{words.counted(counts[2], 'variant')} ({words.counted(counts[3], 'crossover')})",
        highlight=False,
    )
    if counts[4]:
        console.print(f"{counts[4]} of them ran without a sandbox", highlight=False)


def _who_finds_out(flag: str, engine: AtWork) -> str:
    return {
        AtWork.NOBODY: f"`evo run{flag}` finds out",
        AtWork.SEARCHING: "the engine at work finds out by itself",
        AtWork.PAUSED: f"the engine finds out after `evo resume{flag}`",
        AtWork.FINISHING: f"the next `evo run{flag}` finds out",
    }[engine]


def _look(story: Story, contender: Step | None, flag: str) -> dict[str, str]:
    """Commands that show what was found, and what each is for."""
    commands, number = {}, story.variant.variant
    if number:
        commands[f"evo diff {number} baseline{flag}"] = "what changed, in all"
        commands[f"evo checkout {number}{flag} > best.py"] = "take it home"
    elif contender is not None:
        commands[f"evo show {contender.variant}{flag}"] = "what may be better"
    return commands | {f'evo sql "from operator_yield"{flag}': "which operators paid"}


def _go_on(flag: str, engine: AtWork) -> dict[str, str]:
    """Commands that go on with the search, or look at an engine that does already."""
    if engine is AtWork.NOBODY:
        return {f"evo run{flag}": "go on from here; Ctrl-C stops"}
    paused = {f"evo resume{flag}": "go on from here"} if engine is AtWork.PAUSED else {}
    return paused | {f"evo tui{flag.removeprefix(' --run')}": "watch and steer it"}


def print_best(story: Story, console: Console) -> None:
    """The best variant against the baseline, and how it came about."""
    best, baseline = story.variant, story.baseline
    console.print(_named("best", best, story), highlight=False)
    console.print(_named("baseline", baseline, story), highlight=False)
    gain = story.gain
    if gain is None or best.variant == baseline.variant:
        console.print("gain      none yet: nothing is proven to be better", highlight=False)
        return
    share = f" ({gain / abs(baseline.score.mean):.1%})" if baseline.score else ""
    error = f" ± {story.gain_error:.4f}" if story.gain_error is not None else ""
    console.print(f"gain      {gain:.4f}{error}{share}", style="bold", highlight=False)
    if story.holdout is not None:
        flattery = ""
        if story.optimism is not None:
            flattery = f", where selection flattered it by {story.optimism:+.4f}"
        console.print(
            f"holdout   {story.metric} {story.holdout:.4f}, on text that no trial was chosen "
            f"by{flattery}",
            highlight=False,
        )
    if story.self_reported:
        console.print("          self-reported: the number is the script's own", style="yellow")
    console.print("\nwhat brought it", style="bold")
    print_lineage(story, console)


def print_lineage(story: Story, console: Console) -> None:
    """Every ancestor with its score and its effect on its first parent."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("variant", no_wrap=True)
    table.add_column("from", no_wrap=True)
    table.add_column(story.metric, justify="right", no_wrap=True)
    table.add_column("effect", justify="right", no_wrap=True)
    table.add_column("operator", no_wrap=True)
    table.add_column("title", ratio=1, overflow="fold")
    for step in story.steps:
        table.add_row(
            f"v{step.variant}",
            " ".join(f"v{parent}" for parent in step.parents),
            f"{step.score.mean:.4f}" if step.score else "none",
            _effect(step),
            step.operator,
            Text(clean_text(step.title)),
        )
    console.print(table)


def _named(name: str, step: Step, story: Story) -> str:
    score: Score | str = step.score or "no score yet"
    head = f"{name:<9} {story.metric} {score}  v{step.variant}"
    return head if name == "baseline" else f"{head}\n          {clean_text(step.title)}"


def _effect(step: Step) -> Text:
    if step.effect is None:
        return Text("")
    style = "green" if step.better else "red"
    return Text(words.gain(step.effect, step.better), style=style)
