"""Puts an engine together from settings: stores, strategy, desk and slots."""

from __future__ import annotations

import queue
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
from threadpoolctl import threadpool_limits

from evo import __version__
from evo.archive.archive import Archive, RunRecord
from evo.archive.publication import Publisher, publish
from evo.arena.profile import Profile, choose
from evo.arena.worker import Setup
from evo.config import OPTIONS, Settings
from evo.corpus.corpus import Corpus, locate
from evo.engine.bulletin import Rooms
from evo.engine.casebook import EngineCasebook
from evo.engine.desk import Desk, Rehearsal
from evo.engine.engine import Engine
from evo.engine.layout import BUNDLE, DATABASE, FOUNDERS, PUBLISHED, REPOSITORY
from evo.engine.shelf import PopulationShelf
from evo.engine.studio import Studio, open_studio
from evo.errors import PatchError, PopulationError, SettingsError
from evo.executors.local import LocalExecutor
from evo.models.model import Model
from evo.models.roster import Conduct
from evo.nouns import Proposal, Recipe, utc
from evo.operators.ablation import Ablate
from evo.operators.crossover import Crossover
from evo.operators.founding import Founder
from evo.operators.human import Human
from evo.operators.operator import Operator
from evo.operators.screening import screen
from evo.operators.tuning import Tune, find_literals
from evo.patch import FounderPatch, read_founder
from evo.population.population import Population
from evo.program import read_program
from evo.sandbox import walls
from evo.sandbox.plan import Tier
from evo.search.breeding import Plan
from evo.search.rivals import ON_CONSTANTS, STRATEGIES


def assemble(
    *,
    project: Path,
    settings: Settings,
    folder: Path,
    archive_folder: Path,
    baseline: str,
    others: Mapping[str, Operator] | None = None,
    models: Sequence[Model] = (),
    conduct: Conduct | None = None,
) -> Engine:
    """An engine for a run, new or to be gone on with.

    Args:
        project: The project folder.
        settings: All of them.
        folder: population/RUN.
        archive_folder: archive/RUN.
        baseline: Text of the editable file.
        others: Operators by name that go above those that evo has.
        models: Language models that go above those of the settings.
        conduct: How models are asked, above the settings.

    Raises:
        EvoError: A store is held, damaged or of another version, the baseline can't be measured,
            or the run was begun with another task.
    """
    threadpool_limits(1, "blas")  # the search's matrices are small; the cores have trials to run
    profile = choose(settings)
    cause = screen(baseline, profile.task.recipe)
    if cause:
        raise SettingsError(f"{settings.task.editable} can't be the baseline: {cause}")
    read_program(project / settings.program)
    setups = setups_of(project, settings, profile)
    archive = Archive.open(folder / DATABASE)
    try:
        rooms = open_rooms(
            archive,
            project=project,
            settings=settings,
            profile=profile,
            folder=folder,
            archive_folder=archive_folder,
            baseline=baseline,
            tier=Tier(setups[0].sandbox),
            models=models,
            conduct=conduct,
        )
    except BaseException:
        archive.close()
        raise
    return Engine(
        rooms,
        partial(furnish_desk, rooms, profile, setups[0], others or {}),
        partial(LocalExecutor, setups),
    )


def open_rooms(
    archive: Archive,
    *,
    project: Path,
    settings: Settings,
    profile: Profile,
    folder: Path,
    archive_folder: Path,
    baseline: str,
    tier: Tier,
    models: Sequence[Model],
    conduct: Conduct | None,
) -> Rooms:
    """Everything that an engine works with beside its desk and its executor; see `assemble`."""
    begin(archive, settings, profile)
    population = open_population(folder / REPOSITORY, settings.task.editable, archive)
    founders, warnings = read_founders(project / settings.population_folder / FOUNDERS)
    if tier is Tier.OPEN:
        warnings.append("trials run without a sandbox: they can read and change all you can")
    shelf = PopulationShelf(population, founders)
    known: dict[str, int] = {}
    casebook = EngineCasebook(
        profile.task.direction, folder / "trials", known, shelf.source, hints=shelf.hints
    )
    notes: queue.SimpleQueue[str] = queue.SimpleQueue()
    studio = open_studio(
        project=project,
        settings=settings,
        profile=profile,
        archive=archive,
        casebook=casebook,
        say=notes.put,
        tier=tier,
        models=models,
        conduct=conduct,
    )
    published, bundled = archive_folder / PUBLISHED, archive_folder / BUNDLE
    return Rooms(
        folder=folder,
        settings=settings,
        task=profile.task,
        archive=archive,
        publisher=Publisher(lambda: publish(archive, published), published),
        bundler=Publisher(lambda: population.bundle(bundled), bundled),
        population=population,
        search=(STRATEGIES | ON_CONSTANTS)[settings.strategy](
            replace(
                plan(settings, profile, founders),
                arms=studio.arms(),
                constants=constants(first_text(archive, population) or baseline, profile),
            )
        ),
        shelf=shelf,
        baseline=baseline,
        casebook=casebook,
        studio=studio,
        known=known,
        notes=notes,
        warnings=warnings,
    )


def furnish_desk(
    rooms: Rooms,
    profile: Profile,
    setup: Setup,
    others: Mapping[str, Operator],
    on_proposal: Callable[[Proposal, str], None],
    on_failure: Callable[[Exception], None],
) -> Desk:
    """The desk with all operators; those that need no model give way to the studio's of the same
    name, and both to `others`."""
    recipe = rooms.task.recipe
    return Desk(
        operators=operators(profile) | dict(rooms.studio.operators) | dict(others),
        shelf=rooms.shelf,
        recipe=recipe,
        rehearsal=Rehearsal(setup) if recipe is Recipe.ARENA else None,
        known=rooms.known,
        on_proposal=on_proposal,
        on_failure=on_failure,
        threads=threads(rooms.settings, profile, rooms.studio),
    )


def setups_of(project: Path, settings: Settings, profile: Profile) -> list[Setup]:
    """What the referee of each slot measures, and behind which walls.

    Raises:
        EvoError: No walls hold here, and trials may not run without.
    """
    tier = walls.choose(settings.arena.sandbox, unsafe=settings.unsafe, gpu=profile.gpu(0))
    data = data_folder_of(settings)
    readable = tuple(str(project / path) for path in settings.arena.readable)
    return [
        Setup(
            profile.task,
            profile.rules,
            data,
            profile.gpu(slot),
            sandbox=str(tier),
            unsafe=settings.unsafe,
            readable=readable,
        )
        for slot in range(profile.slots)
    ]


def operators(profile: Profile) -> dict[str, Operator]:
    """The operators that need no model, by name."""
    made: tuple[Operator, ...] = (Tune(_column(profile)), Crossover(), Ablate(), Founder(), Human())
    return {operator.name: operator for operator in made}


def threads(settings: Settings, profile: Profile, studio: Studio) -> int:
    """How many briefs are worked on at a time: who waits for a model holds up nobody else."""
    if studio.roster is None:
        return max(2, profile.slots)
    return max(2, profile.slots * max(1, settings.proposals_ahead))


def first_text(archive: Archive, population: Population) -> str:
    """The text that all variants of a run grew from, whatever the editable file says by now; empty
    before there is one."""
    first = archive.variants()[:1]
    return population.source(first[0].commit) if first else ""


def constants(baseline: str, profile: Profile) -> dict[str, bool | int | float]:
    """Numbers and switches of the baseline that can be tuned, by label."""
    return {each.label: each.value for each in find_literals(baseline, _column(profile))}


def _column(profile: Profile) -> int:
    """Which column of a two-column constant counts on this machine."""
    return 1 if profile.device == "cuda" else 0


def plan(settings: Settings, profile: Profile, founders: Mapping[str, FounderPatch]) -> Plan:
    """What the strategy has to work with."""
    return Plan(
        direction=profile.task.direction,
        founders=tuple(sorted(founders)),
        first_founders=settings.founders,
        population_size=settings.population_size,
        confirmations=settings.confirmations,
        slots=profile.slots,
        false_kills=settings.false_kills,
        memory_limit_mb=settings.memory_limit_mb,
    )


def read_founders(folder: Path) -> tuple[dict[str, FounderPatch], list[str]]:
    """The gene pool: every patch in a folder by file name, and why others were passed over."""
    founders, warnings = dict[str, FounderPatch](), list[str]()
    for path in sorted(folder.glob("*.patch")):
        try:
            founders[path.stem] = read_founder(path.stem, path.read_text("utf-8"))
        except (PatchError, OSError, UnicodeDecodeError) as error:
            warnings.append(f"founder {path.name} is passed over: {error}")
    return founders, warnings


def data_folder_of(settings: Settings) -> str:
    """Folder of the prepared data; empty for a command task."""
    if settings.task.recipe is Recipe.COMMAND:
        return ""
    return str(locate(settings.arena.data))


def begin(archive: Archive, settings: Settings, profile: Profile) -> None:
    """Notes a new run, or refuses one that was begun with another task.

    Raises:
        SettingsError: Scores of the two wouldn't compare.
    """
    task, data = profile.task, data_folder_of(settings)
    record = RunRecord(
        name=settings.run,
        seed=settings.seed,
        strategy=settings.strategy,
        editable=task.editable,
        recipe=task.recipe,
        metric=task.metric,
        direction=task.direction,
        budget_seconds=task.budget_seconds,
        clock=task.clock,
        scale=task.scale,
        device=profile.device,
        data_name=settings.arena.data if data else "",
        data_sha=Corpus.open(Path(data)).sha if data else "",
        settings=msgspec.to_builtins(_resolved(settings, profile)),
        evo_version=__version__,
        created_at=now(),
    )
    known = archive.run()
    if known is None:
        archive.begin_run(record)
        return
    before, after = _measure_of(known), _measure_of(record)
    for name in before.keys() & after.keys():
        was, wanted = before[name], after[name]
        if was != wanted:
            raise SettingsError(
                f"the run {settings.run} was begun with {name} {was}, not {wanted}: their scores "
                f"don't compare; put it back{_option(name, was)}, or start another run with "
                "--run NAME"
            )


def _option(name: str, value: object) -> str:
    """The option of `evo run` that puts a value back, in brackets; empty if there is none."""
    option = OPTIONS.get(f"task.{name}")
    return f" ({option} {str(value).removesuffix('.0')})" if option else ""


def _resolved(settings: Settings, profile: Profile) -> Settings:
    """Settings with what was left to evo and decides what a score means."""
    rules = profile.rules
    arena = msgspec.structs.replace(
        settings.arena, sequence_len=rules.sequence_len, score_tokens=rules.score_tokens
    )
    return msgspec.structs.replace(settings, arena=arena)


def _measure_of(record: RunRecord) -> dict[str, object]:
    """What must stay as it is for the scores of a run to compare, by name."""
    task, arena = record.settings.get("task", {}), record.settings.get("arena", {})
    names = ("editable", "recipe", "metric", "direction", "budget_seconds", "clock", "scale",
             "device", "data_sha")  # fmt: skip
    measure = {name: getattr(record, name) for name in names}
    if record.recipe is Recipe.COMMAND:
        return measure | {name: task.get(name) for name in ("command", "pattern", "crash_pattern")}
    chosen = {name: arena.get(name) for name in ("sequence_len", "score_tokens")}
    return measure | {name: value for name, value in chosen.items() if value is not None}


def open_population(path: Path, editable: str, archive: Archive) -> Population:
    """The git repository of a run; a new one if nothing was committed yet.

    Raises:
        PopulationError: It is damaged, or gone although the archive knows variants.
    """
    if path.exists():
        population = Population.open(path, editable)
        population.check()
        return population
    if archive.variants():
        raise PopulationError(
            f"{path} is gone, but the archive knows variants; bring it back from "
            "archive/RUN/variants.bundle with `git clone --mirror`"
        )
    beside = path.with_suffix(".new")
    shutil.rmtree(beside, ignore_errors=True)
    Population.create(beside, editable)
    beside.rename(path)
    return Population.open(path, editable)


def now() -> datetime:
    """The time as archives keep it: UTC, naive."""
    return utc(time.time())
