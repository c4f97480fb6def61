"""The studio: puts together whoever asks language models, from settings and a run's stores."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evo.archive.archive import Archive
from evo.arena.profile import Profile
from evo.config import Settings, models_of
from evo.models.litellm_model import LiteLLMModel
from evo.models.model import Model
from evo.models.purse import Purse
from evo.models.roster import Conduct, Member, Roster
from evo.nouns import Program, utc
from evo.operators.agent import Agent
from evo.operators.authoring import Author
from evo.operators.casebook import Casebook
from evo.operators.joining import Cross
from evo.operators.mending import Repair
from evo.operators.mutation import Mutate
from evo.operators.operator import Operator
from evo.operators.outfit import fit_out, name_of
from evo.operators.prompts import Situation
from evo.operators.simplification import Simplify
from evo.program import ProgramFile
from evo.sandbox.plan import Tier
from evo.sandbox.sandbox import TierSandbox
from evo.sandbox.walls import shortfalls
from evo.search.bandit import Arm

SHARES = {"mutate": 8.0, "cross": 3.0, "repair": 3.0, "simplify": 1.0}
"""How often each is asked at first, in parts, beside what needs no model."""
AGENT_SHARE = 4.0
MENDER = "debugger"
"""The role that repairs; all others mutate."""


@dataclass(frozen=True, slots=True)
class Studio:
    """What a run has of language models; all of it empty if none is configured."""

    program: ProgramFile
    roster: Roster | None = None
    operators: Mapping[str, Operator] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of the models, by name."""
    agents: Mapping[Arm, float] = field(default_factory=dict)
    """Whoever else can be asked, and how often at first."""

    def arms(self) -> dict[Arm, float]:
        """What can be asked for under program.md as it is now, and how often at first.

        Whoever is rested for failing again and again isn't offered until the rest is over.
        """
        if self.roster is None:
            return {}
        resting, roles = self.roster.resting(), tuple(self.program.current().roles)
        awake = {name: weight for name, weight in self.weights.items() if name not in resting}
        agents = {arm: share for arm, share in self.agents.items() if arm.model not in resting}
        return arms_of(awake, roles) | agents

    def close(self) -> None:
        """Begins no other call; those in flight are told of as they stand."""
        if self.roster is not None:
            self.roster.close()


def open_studio(
    *,
    project: Path,
    settings: Settings,
    profile: Profile,
    archive: Archive,
    casebook: Casebook,
    say: Callable[[str], None],
    tier: Tier,
    models: Sequence[Model] = (),
    conduct: Conduct | None = None,
) -> Studio:
    """The operators that ask models, and how often each is asked.

    Args:
        project: Holds program.md.
        settings: All of them.
        profile: The machine.
        archive: Keeps calls and versions of the program.
        casebook: Measurements and history.
        say: Told what people should know, on any thread.
        tier: The walls that an agent works behind: those of the trials.
        models: Go above those of the settings.
        conduct: Limits and pauses; by default the settings' and the usual ones.

    Raises:
        SettingsError: The program or the agent makes no sense.
    """

    def keep(program: Program) -> None:
        archive.record_program(program, utc(time.time()))

    program = ProgramFile(project / settings.program, keep, say)
    configured = models_of(settings)
    members = [Member(LiteLLMModel(one), one.weight) for one in configured]
    if models:
        members = [Member(model) for model in models]
    if not members and not settings.agent.command:
        return Studio(program)
    roster = Roster(
        members,
        purse=Purse(settings.cost),
        on_call=archive.record_call,
        clock=time.time,
        say=say,
        conduct=conduct or Conduct(concurrent_calls=settings.concurrent_calls),
    )
    author = Author(roster, casebook, program.current, situation_of(settings, profile))
    made = operators_of(author) if members else {}
    if settings.agent.command:
        made[Agent.name] = agent_of(project, settings, author, tier, say)
    agents = dict[Arm, float]()
    if settings.agent.command:
        agents[Arm(Agent.name, "", name_of(settings.agent))] = AGENT_SHARE * settings.agent.weight
    weights = {member.model.name: member.weight for member in members}
    return Studio(program, roster, made, weights, agents)


def agent_of(
    project: Path, settings: Settings, author: Author, tier: Tier, say: Callable[[str], None]
) -> Agent:
    """The coding agent, behind its walls.

    Raises:
        SettingsError: See `evo.operators.outfit.fit_out`.
    """
    guarded = [project / settings.population_folder, project / settings.archive_folder]
    outfit = fit_out(settings.agent, os.environ, guarded)
    sandbox = TierSandbox(tier, outfit.readable, network=settings.agent.network)
    for shortfall in shortfalls(tier):
        say(f"{outfit.name}: {shortfall}")
    return Agent(settings.agent, outfit, author, sandbox, say)


def operators_of(author: Author) -> dict[str, Operator]:
    """The operators that ask a model, by name."""
    made: tuple[Operator, ...] = (
        Mutate(author), Cross(author), Repair(author), Simplify(author),
    )  # fmt: skip
    return {operator.name: operator for operator in made}


def situation_of(settings: Settings, profile: Profile) -> Situation:
    """What every prompt of a run says of the task and the machine."""
    return Situation(
        profile.task,
        "a GPU" if profile.device == "cuda" else "a CPU",
        context_tokens=settings.context_tokens,
        memory_mb=profile.rules.memory_mb,
    )


def arms_of(weights: Mapping[str, float], roles: Sequence[str]) -> dict[Arm, float]:
    """What models can be asked for, and how often at first.

    Args:
        weights: Models by name; without one there are no arms.
        roles: Those of program.md.
    """
    thinkers = [role for role in roles if role != MENDER] or [""]
    mender = MENDER if MENDER in roles else ""
    arms: dict[Arm, float] = {}
    whole = sum(weights.values())
    for operator, share in SHARES.items():
        given = thinkers if operator == "mutate" else [mender if operator == "repair" else ""]
        for role in given:
            for model, weight in weights.items():
                arms[Arm(operator, role, model)] = share * weight / whole / len(given)
    return arms
