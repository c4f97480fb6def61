"""Settings: what `[tool.evo]` in pyproject.toml may say, every field documented, units in names.

Flags of the command line go above the file. A key that doesn't exist is refused with the nearest
one that does. `None` means that evo chooses, by the machine it finds itself on.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from enum import EnumType
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from evo.errors import SettingsError
from evo.nouns import Clock, Direction, Recipe

FOUNDERS = "founders"
"""In the population's folder, where runs are too: the gene pool of every run."""

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
OPTIONS = {
    "run": "--run",
    "trials": "--trials",
    "hours": "--hours",
    "models": "--model",
    "cost": "--cost",
    "context_tokens": "--context-tokens",
    "task.budget_seconds": "--budget",
    "slots": "--slots",
    "strategy": "--strategy",
    "seed": "--seed",
}
"""Of `evo run`, by the setting that each goes above."""


class TaskSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[tool.evo.task]`: what is evolved and how it is measured."""

    editable: str = "train.py"
    """The one file that evolves."""
    recipe: Recipe = Recipe.ARENA
    """`arena` (a training script, scored by the referee) or `command` (a script with a scalar)."""
    budget_seconds: Positive | None = None
    """Budget of a trial. None: 10 CPU seconds on a CPU, 300 wall seconds on a GPU."""
    clock: Clock | None = None
    """What the budget counts, `wall` or `cpu`. None: `cpu` on a CPU, where cores are shared."""
    scale: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """Share of the full model's depth and width."""
    command: str = ""
    """For `command`: how the script is run, `{editable}` standing for its file name."""
    metric: str = "val_bpb"
    """Name of the score; a `command` prints `NAME: NUMBER` in one of its last lines."""
    pattern: str = ""
    """For `command`: a regular expression whose first group is the score."""
    crash_pattern: str = ""
    """For `command`: output that this regular expression finds means that the run failed."""
    direction: Direction = Direction.MINIMISE
    """`minimise` or `maximise` the metric."""


class ArenaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[tool.evo.arena]`: the shapes and caps of an arena task."""

    data: str = "embedded"
    """Name of prepared data (`evo data list`), or the folder that holds it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where variants train; `auto` takes a GPU if there is one."""
    sequence_len: Count | None = None
    """Tokens in a row. None: 256 on a CPU, 2048 on a GPU."""
    score_tokens: Count | None = None
    """Most validation tokens that a trial is scored on. None: 65,536 or 2,097,152."""
    startup_seconds: Positive = 180.0
    """Wall seconds from a trainee's start to its first batch; compilation falls into it."""
    scoring_seconds: Positive = 180.0
    """Wall seconds that scoring may take."""
    memory_mb: Count | None = None
    """Most memory of a trial's processes. None: 4,096 on a CPU, four fifths of the machine's on a
    GPU."""
    weights_mb: Count = 4096
    """Largest weights that a trainee may hand in."""
    threads: Count | None = None
    """CPU threads a trial. None: 1 on a CPU, 4 on a GPU."""
    sandbox: Literal["auto", "bubblewrap", "namespaces", "landlock", "open"] = "auto"
    """The walls around a trial; `auto` takes the strongest that hold here (`evo doctor`), `open`
    is none and needs --unsafe."""
    readable: tuple[str, ...] = ()
    """Files and folders that trials may read beside Python: the data of a `command` task."""


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[tool.evo.models]]`: a language model. Its key comes from the environment alone."""

    name: Annotated[str, Meta(min_length=1)]
    """The provider's and the model's name in litellm's form, such as `openai/gpt-5`."""
    weight: Positive = 1.0
    """How often it is asked, beside the others."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """None: the provider's own."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    """How long it thinks, where it can. None: the provider's own."""
    api_base: str = ""
    """Address of a server of one's own. Empty: the provider's, or what the environment says."""
    timeout_seconds: Positive = 600.0
    """A call that takes longer has failed."""
    answer_tokens: Count | None = None
    """Most tokens of an answer. None: the provider's own."""
    stream: bool = False
    """Take the answer in pieces, for servers that break off long silences."""
    usd_per_million_in: Annotated[float, Meta(ge=0)] | None = None
    """Price of a million tokens of prompt. None: what litellm knows of the model."""
    usd_per_million_out: Annotated[float, Meta(ge=0)] | None = None
    """Price of a million tokens of answer."""


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[tool.evo.agent]`: a coding agent that proposes, as any command line."""

    command: str = ""
    """Shell words. It gets the brief on standard input and edits the file in its folder. Empty:
    there is none."""
    network: bool = False
    """Whether it may use the network, which it needs to reach a model that runs elsewhere."""
    keys: tuple[str, ...] = ()
    """Names of environment variables that it is given, such as its key; no others are."""
    readable: tuple[str, ...] = ()
    """Files and folders that it may read beside its program's file, Python and /usr."""
    timeout_seconds: Positive = 900.0
    memory_mb: Count = 4096
    cost: str = ""
    """A regular expression that finds its bill in what it prints: one group for the dollars, or
    groups named `usd`, `tokens_in`, `tokens_out`. Empty: `"total_cost_usd": 0.01`, as JSON."""
    usd_per_call: Annotated[float, Meta(ge=0)] | None = None
    """What a run costs where it doesn't say so. None: unknown, and not counted by `cost`."""
    weight: Positive = 1.0
    """How often it is asked, beside the models."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[tool.evo]`: one search."""

    run: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "main"
    """Name of the run: its folder under population/ and archive/."""
    strategy: Literal["population", "greedy", "greedy-replicated", "best-of-n", "random", "tpe"] = (
        "population"
    )
    """How parents are chosen and improvements are kept."""
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    """Seed of everything that the search draws."""
    slots: Count | None = None
    """Trials at a time. None: one a GPU, or one a core (at most 8) without one."""
    trials: Count | None = None
    """Stop after so many trials from now. None: no limit."""
    hours: Positive | None = None
    """Stop after so many hours from now. None: no limit."""
    cost: Positive | None = None
    """Stop when models have cost so many US dollars. None: no limit."""
    population_size: Annotated[int, Meta(ge=2)] = 16
    """How many variants live; the worst give way."""
    founders: Annotated[int, Meta(ge=0)] = 8
    """How many founders are drawn into generation zero, beside the baseline."""
    confirmations: Annotated[int, Meta(ge=1, le=12)] = 2
    """Trials, each with a fresh seed, that a challenger and the champion need before one of them
    can be called better. No variant is given more than 12."""
    false_kills: Annotated[float, Meta(ge=0, lt=0.5)] = 0.02
    """Share of true improvements that early stopping may cost. 0 stops no trial."""
    memory_limit_mb: Positive | None = None
    """A soft limit: what takes more has to be better for it. None: memory is no matter."""
    proposals_ahead: Annotated[int, Meta(ge=0)] = 2
    """Proposals held ready for each slot, so that no slot waits for one. 0 asks only when a slot
    is free: with one slot and scores without noise, a search then repeats itself exactly."""
    models: tuple[str | ModelSettings, ...] = ()
    """Language models, by name or as `[[tool.evo.models]]`. Without one, evo needs no key."""
    concurrent_calls: Count = 8
    """Calls of language models at a time."""
    context_tokens: Annotated[int, Meta(ge=2000)] = 32_000
    """Most tokens of a prompt; what is least useful is left out first, train.py never."""
    program: str = "program.md"
    """The human's instructions to the operators."""
    unsafe: bool = False
    """Let trials run without walls where there are none to be had (--unsafe)."""
    population_folder: str = "population"
    archive_folder: str = "archive"
    task: TaskSettings = TaskSettings()
    arena: ArenaSettings = ArenaSettings()
    agent: AgentSettings = AgentSettings()


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "task": TaskSettings,
    "arena": ArenaSettings,
    "agent": AgentSettings,
}
_KINDS = _SECTIONS | {"models": ModelSettings}


def load(folder: Path, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of a project folder.

    Args:
        folder: Holds pyproject.toml; without one, everything has its default.
        overrides: Dotted names and values that go above the file, such as `task.budget_seconds`;
            values that are None are passed over.

    Raises:
        SettingsError: A key or a value that can't be; the text names the nearest that can.
    """
    path = folder / "pyproject.toml"
    table: dict[str, Any] = {}
    if path.exists():
        try:
            tool = tomllib.loads(path.read_text("utf-8")).get("tool", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise SettingsError(f"{path.name} can't be read: {error}") from error
        table = _table(_table(tool, "tool").get("evo", {}), "tool.evo")
    for name, value in (overrides or {}).items():
        if name == "models" and value is not None:
            table["models"] = _named(table.get("models", ()), value)
        elif value is not None:
            *sections, key = name.split(".")
            target = table
            for section in sections:
                target = _table(target.setdefault(section, {}), f"tool.evo.{section}")
            target[key] = value
    return parse(table)


def parse(table: dict[str, Any]) -> Settings:
    """Settings from a table, every key and value checked.

    Raises:
        SettingsError: See `load`.
    """
    _refuse_unknown(table, Settings, "tool.evo")
    for section, kind in _SECTIONS.items():
        _refuse_unknown(table.get(section, {}), kind, f"tool.evo.{section}")
    models = table.get("models", ())
    if not isinstance(models, list | tuple):
        raise SettingsError(
            'tool.evo.models must be a list of names, as in models = ["openai/gpt-5"]'
        )
    for model in models:
        if not isinstance(model, str):
            _refuse_unknown(model, ModelSettings, "tool.evo.models")
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        text = str(error).replace("`$.", "`tool.evo.").replace(" - at ", ", for ")
        raise SettingsError(f"a setting has a wrong value: {text}{_choices(text)}") from error
    if settings.run == FOUNDERS:
        raise SettingsError(
            f"a run can't be named {FOUNDERS}: that is the gene pool's folder; name it otherwise "
            "with tool.evo.run or --run NAME"
        )
    task = settings.task
    if task.recipe is Recipe.COMMAND and not task.command:
        raise SettingsError(
            'a command task needs tool.evo.task.command, for instance "python {editable}"'
        )
    _check_models(models_of(settings))
    return settings


def models_of(settings: Settings) -> tuple[ModelSettings, ...]:
    """The language models, a bare name as one with defaults."""
    return tuple(
        ModelSettings(name=model) if isinstance(model, str) else model for model in settings.models
    )


def run_flag(run: str, usual: str) -> str:
    """What a suggested command needs so as to mean a run: ` --run NAME`; nothing if it is the usual
    one, which the project's settings name."""
    return "" if run == usual else f" --run {run}"


def _check_models(models: tuple[ModelSettings, ...]) -> None:
    names = [model.name for model in models]
    for model in models:
        if not model.name.strip():
            raise SettingsError("tool.evo.models has a model without a name")
        if names.count(model.name) > 1:
            raise SettingsError(f"tool.evo.models names {model.name} twice; give it a weight")
        if "@" in model.api_base:
            raise SettingsError(
                f"tool.evo.models: api_base of {model.name} must be an address without a password; "
                "keys come from the environment alone"
            )


def _named(configured: Any, wanted: Any) -> list[Any]:
    """The models that are wanted, each as the file has it if it does."""
    known = {
        model.get("name"): model
        for model in (configured if isinstance(configured, list) else [])
        if isinstance(model, Mapping)
    }
    return [known.get(name, name) if isinstance(name, str) else name for name in wanted]


def _choices(text: str) -> str:
    """What may stand in the place that an error names, if that is one of a few words."""
    if "Invalid enum value" not in text:
        return ""
    *sections, name = text.rsplit("`", 2)[1].removeprefix("tool.evo.").split(".")
    owner = _KINDS[sections[0].partition("[")[0]] if sections else Settings
    kinds = [get_type_hints(owner)[name], *get_args(get_type_hints(owner)[name])]
    words = [
        str(word)
        for kind in kinds
        for word in (kind if isinstance(kind, EnumType) else get_args(kind))
        if isinstance(word, str)
    ]
    return f"; it can be {', '.join(words)}" if words else ""


def _table(given: Any, where: str) -> dict[str, Any]:
    """What stands where a table belongs, if it is one.

    Raises:
        SettingsError: It is something else.
    """
    if not isinstance(given, dict):
        raise SettingsError(f"[{where}] must be a table, not {given!r}")
    return given


def _refuse_unknown(table: Any, kind: type[msgspec.Struct], where: str) -> None:
    known = kind.__struct_fields__
    for key in _table(table, where):
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            advice = f"; did you mean `{near[0]}`?" if near else f"; known: {', '.join(known)}"
            raise SettingsError(f"[{where}] has no setting `{key}`{advice}")
