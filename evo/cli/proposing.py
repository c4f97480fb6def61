"""`evo propose`: what a model would be told, and what it answers, without running anything."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from evo.archive.archive import Archive
from evo.arena.profile import choose
from evo.cli import place
from evo.config import Settings, models_of
from evo.engine.casebook import EngineCasebook
from evo.engine.inbox import Verb
from evo.engine.layout import PUBLISHED, REPOSITORY
from evo.engine.shelf import PopulationShelf
from evo.engine.studio import agent_of, operators_of, situation_of
from evo.errors import SettingsError
from evo.models.litellm_model import LiteLLMModel
from evo.models.model import Message, Model, ModelError, Reply, count_tokens
from evo.models.purse import Purse
from evo.models.roster import Member, Roster
from evo.nouns import Brief, CallOutcome, Outcome, Proposal, Variant, Wish
from evo.operators.agent import Agent
from evo.operators.authoring import Author
from evo.operators.operator import Shelf
from evo.operators.screening import count_lines, fingerprint, screen
from evo.patch import FounderPatch, diff
from evo.population.population import Population
from evo.program import read_program
from evo.sandbox import walls
from evo.text import clean_text


class Once:
    """Asks a model once, or never, and remembers what it was to be told.

    Args:
        model: None shows the question and asks nobody.
    """

    def __init__(self, model: Model | None) -> None:
        self._model = model
        self.name = model.name if model else "nobody"
        self.told: list[Message] = []
        self.reply: Reply | None = None

    def complete(self, messages: Sequence[Message]) -> Reply:
        if self.told or self._model is None:
            self.told = self.told or list(messages)
            raise ModelError("one call was asked for", CallOutcome.ABANDONED)
        self.told = list(messages)
        self.reply = self._model.complete(messages)
        return self.reply

    def estimate_usd(self, tokens_in: int) -> float | None:
        return None


@click.command("propose")
@click.option("--run", "run_name", metavar="NAME", help="Name of the run [settings: main].")
@click.option("--operator", default="mutate", show_default=True,
              type=click.Choice(["mutate", "simplify", "repair", "cross", "agent"]))  # fmt: skip
@click.option("--variant", type=int, metavar="N", help="The variant to change [the best].")
@click.option("--with", "other", type=int, metavar="N", help="For cross: the other parent.")
@click.option("--proposal", type=int, metavar="N", help="For repair: the proposal that broke.")
@click.option("--role", default="", metavar="NAME", help="A role of program.md.")
@click.option("--model", metavar="NAME", help="The model to ask [the first of the settings].")
@click.option("--context-tokens", type=int, metavar="N", help="Most tokens of the prompt.")
@click.option("--call", is_flag=True, help="Ask the model once, and show what comes of it.")
def propose_command(
    run_name: str | None,
    operator: str,
    variant: int | None,
    other: int | None,
    proposal: int | None,
    role: str,
    model: str | None,
    context_tokens: int | None,
    call: bool,
) -> None:
    """Show the prompt for a proposal; with --call, one answer and its diff.

    Nothing is run or recorded: this is for getting program.md right.
    """
    settings = place.settings_for(
        run_name, models=[model] if model else None, context_tokens=context_tokens
    )
    once = Once(_model(settings) if call and operator != Agent.name else None)
    with tempfile.TemporaryDirectory(prefix="evo-propose-") as folder:
        shelf, book, best = _open(settings, Path(folder))
        program = read_program(place.project() / settings.program)
        if role and role not in program.roles:
            known = ", ".join(program.roles) or "none"
            raise SettingsError(f"{settings.program} has no `## Role: {role}`; it has {known}")
        roster = Roster(
            [Member(once)], purse=Purse(None), on_call=lambda call: None, clock=time.time
        )
        situation = situation_of(settings, choose(settings))
        author = Author(roster, book, lambda: program, situation)
        first = best if variant is None else variant
        parents = (first,) if other is None else (first, other)
        subject = "" if proposal is None else str(proposal)
        try:
            for one in parents:
                book.case(one)
        except KeyError as error:
            raise SettingsError(f"the run {settings.run} has no variant {error}") from error
        brief = Brief(0, operator, parents, subject, role=role)
        if operator == Agent.name:
            agent = _agent(settings, author)
            once.told = [Message("user", agent.told(brief, shelf, program))]
            made = agent.propose(brief, shelf) if call else None
        else:
            made = operators_of(author)[operator].propose(brief, shelf)
        _show_prompt(once.told)
        if made is not None and (call or not once.told):
            _show_answer(made, once, shelf, settings)


def _agent(settings: Settings, author: Author) -> Agent:
    if not settings.agent.command:
        raise SettingsError("there is no agent; name its command in tool.evo.agent.command")
    tier = walls.choose(settings.arena.sandbox, unsafe=settings.unsafe)
    return agent_of(
        place.project(), settings, author, tier, lambda text: click.secho(text, err=True)
    )


def _model(settings: Settings) -> Model:
    models = models_of(settings)
    if not models:
        raise SettingsError(
            "no model is named; give one with --model NAME or in tool.evo.models, and its key in "
            "the environment"
        )
    return LiteLLMModel(models[0])


def _open(settings: Settings, folder: Path) -> tuple[Shelf, EngineCasebook, int]:
    """A run's sources and history as they were published last, or the baseline alone."""
    published = place.archive_folder(settings) / PUBLISHED
    run, known = place.run_folder(settings), dict[str, int]()
    direction = settings.task.direction
    if not published.exists():
        source = place.editable_text(settings)
        alone = Alone(source)
        book = EngineCasebook(direction, run / "trials", known, alone.source)
        book.tell(alone.variant)
        return alone, book, 0
    copy = folder / PUBLISHED  # an archive is opened by its one writer, so this is one of our own
    shutil.copyfile(published, copy)
    archive = Archive.open(copy)
    try:
        population = Population.open(run / REPOSITORY, settings.task.editable)
        shelf = PopulationShelf(population, {})
        hints = [told["text"] for told in archive.requests(Verb.HINT) if told.get("text")]
        book = EngineCasebook(direction, run / "trials", known, shelf.source, lambda: hints)
        made_by = {variant.proposal: variant for variant in archive.variants()}
        for variant in made_by.values():
            shelf.add(variant)
            known[variant.fingerprint] = variant.id
        for record in archive.history():
            if isinstance(record, Wish):
                continue
            book.tell(record)
            if isinstance(record, Proposal) and record.id in made_by:
                book.tell(made_by[record.id])
        return shelf, book, archive.champion() or 0
    finally:
        archive.close()


class Alone:
    """The shelf of a run that hasn't begun: the baseline and nothing else."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.variant = Variant(
            id=0, commit="", parents=(), operator="baseline", title="Baseline", rationale="",
            diff="", fingerprint=fingerprint(source), lines=count_lines(source), proposal=0,
            created_at=datetime.min,
        )  # fmt: skip

    def source(self, variant_id: int) -> str:
        return {0: self._source}[variant_id]

    def common_ancestor(self, a: int, b: int) -> int:
        return 0

    def parents(self, variant_id: int) -> tuple[int, ...]:
        return ()

    def title(self, variant_id: int) -> str:
        return self.variant.title

    def founder(self, name: str) -> FounderPatch:
        raise KeyError(name)

    def submission(self, name: str) -> tuple[str, str]:
        raise KeyError(name)


def _show_prompt(messages: Sequence[Message]) -> None:
    for message in messages:
        size = f"{count_tokens(message.text):,} tokens or fewer"
        click.secho(f"━━━ {message.author} ({size})", bold=True)
        click.echo(clean_text(message.text))
        click.echo()


def _show_answer(made: Proposal, once: Once, shelf: Shelf, settings: Settings) -> None:
    if once.reply is not None:
        reply = once.reply
        cost = "" if reply.cost_usd is None else f", ${reply.cost_usd:.4f}"
        click.secho(
            f"━━━ {reply.model}: {reply.tokens_in:,} tokens in, {reply.tokens_out:,} out{cost}, "
            f"{reply.seconds:.1f} s", bold=True,
        )  # fmt: skip
    cause, outcome = made.cause, made.outcome
    if made.source is not None and (refusal := screen(made.source, settings.task.recipe)):
        cause, outcome = refusal, Outcome.PREFLIGHT_FAILED
    click.echo(f"{outcome}: {cause}".rstrip(": "))
    if made.source is None:
        if once.reply is not None:
            click.echo(clean_text(once.reply.text))
        sys.exit(1)
    click.echo(f"Title: {clean_text(made.title)}\nRationale: {clean_text(made.rationale)}\n")
    before = shelf.source(made.parents[0])
    click.echo(clean_text(diff(before, made.source, settings.task.editable)))
    if outcome is not Outcome.ACCEPTED:
        sys.exit(1)
