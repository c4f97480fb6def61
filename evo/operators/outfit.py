"""The outfit: what a coding agent is given to work with, and what it never is.

Its program, the paths and the variables that the settings list, and nothing else of this machine.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from evo.config import AgentSettings
from evo.errors import SettingsError
from evo.sandbox.reach import followed

SECRETS = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".git-credentials", ".pypirc",
    ".npmrc", ".config/gcloud", ".config/gh", ".password-store", ".local/share/keyrings",
)  # fmt: skip
"""Of a home: nothing that is in one of them is ever readable."""
MOST_USD = 1_000.0
"""Of one call: a larger sum is no bill, whoever printed it."""
OF_THE_MACHINE = ("/etc/shadow", "/etc/ssh", "/proc", "/sys", "/dev", "/run")
_USD = re.compile(r'"(?:total_)?cost_usd"\s*:\s*(?P<usd>[-+.\deE]+)')
_TOKENS_IN = re.compile(r'"(?:input|prompt)_tokens"\s*:\s*(\d+)')
_TOKENS_OUT = re.compile(r'"(?:output|completion)_tokens"\s*:\s*(\d+)')


@dataclass(frozen=True, slots=True)
class Outfit:
    """What an agent's cell is started with."""

    name: str
    """Of its program, without folders: what the archive calls it."""
    words: tuple[str, ...]
    readable: tuple[str, ...]
    variables: Mapping[str, str]
    cost: re.Pattern[str] | None
    """Finds its bill; None looks for what many agents print as JSON."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What an agent says that it took."""

    usd: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0


def name_of(settings: AgentSettings) -> str:
    """What the archive calls the agent; empty if there is none.

    Raises:
        SettingsError: The command makes no sense.
    """
    return Path(_words(settings)[0]).name if settings.command else ""


def fit_out(
    settings: AgentSettings, variables: Mapping[str, str], guarded: Sequence[Path]
) -> Outfit:
    """An agent's outfit.

    Args:
        settings: The command and what it may use.
        variables: The environment that the listed variables, PATH and HOME are taken from.
        guarded: Folders that it may never see: the population and the archive.

    Raises:
        SettingsError: A setting makes no sense here, or would let it see what it may not.
    """
    words = _words(settings)
    missing = [name for name in settings.keys if name not in variables]
    if missing:
        raise SettingsError(
            f"tool.evo.agent.keys names {', '.join(missing)}, which the environment doesn't have; "
            "export it, or take it out of the list"
        )
    program = shutil.which(words[0], path=variables.get("PATH"))
    if program is None:
        raise SettingsError(
            f"tool.evo.agent.command names {words[0]}, which isn't a program on PATH; install it, "
            "or give its whole path"
        )
    home = Path(variables.get("HOME") or Path.home())
    kept = [*guarded, *(home / one for one in SECRETS), *(Path(one) for one in OF_THE_MACHINE)]
    readable = followed(program)
    for said in settings.readable:
        path = home / said[2:] if said.startswith("~/") else home if said == "~" else Path(said)
        if not path.exists():
            raise SettingsError(
                f"tool.evo.agent.readable names {said}, which isn't there; mend the setting"
            )
        _refuse_guarded(said, path, [home, *kept])
        readable += followed(str(path))
    return Outfit(
        name=name_of(settings),
        words=(os.path.normpath(Path.cwd() / program), *words[1:]),
        readable=tuple(dict.fromkeys(readable)),
        variables={name: variables[name] for name in settings.keys},
        cost=_pattern(settings.cost),
    )


def charge(printed: str, cost: re.Pattern[str] | None) -> Charge:
    """What an agent says at last that it took; its word, which nobody can check.

    Args:
        printed: All that it printed.
        cost: The setting's expression; None for the usual words.
    """
    if cost is None:
        told = _reports(printed)
        return Charge(
            _usd(_last(_USD, told)),
            _count(_last(_TOKENS_IN, told)),
            _count(_last(_TOKENS_OUT, told)),
        )
    found = next(iter(reversed(list(cost.finditer(printed)))), None)
    if found is None:
        return Charge()
    named = found.groupdict()
    usd = named["usd"] if "usd" in named else None if named else found[1]
    return Charge(_usd(usd), _count(named.get("tokens_in")), _count(named.get("tokens_out")))


def _words(settings: AgentSettings) -> list[str]:
    try:
        words = shlex.split(settings.command)
    except ValueError as error:
        raise SettingsError(f"tool.evo.agent.command can't be used: {error}") from error
    if not words:
        raise SettingsError("tool.evo.agent.command must name a program")
    return words


def _refuse_guarded(said: str, path: Path, guarded: Sequence[Path]) -> None:
    home, *kept = (Path(os.path.realpath(one)) for one in guarded)
    for place in {Path(os.path.normpath(path.absolute())), path.resolve()}:
        if home.is_relative_to(place):
            raise SettingsError(
                f"tool.evo.agent.readable names {said}, which holds all of your home; list the "
                "folder of the agent's program alone"
            )
        for one in kept:
            if place.is_relative_to(one) or one.is_relative_to(place):
                raise SettingsError(
                    f"tool.evo.agent.readable names {said}, but agents never see {one}; list the "
                    "folder of the agent's program alone"
                )


def _pattern(cost: str) -> re.Pattern[str] | None:
    if not cost:
        return None
    try:
        pattern = re.compile(cost, re.MULTILINE)
    except re.error as error:
        raise SettingsError(f"tool.evo.agent.cost isn't a regular expression: {error}") from error
    unknown = set(pattern.groupindex) - {"usd", "tokens_in", "tokens_out"}
    if unknown or not pattern.groups:
        raise SettingsError(
            "tool.evo.agent.cost must have one group that is the dollars, or groups named usd, "
            "tokens_in and tokens_out"
        )
    return pattern


def _reports(printed: str) -> str:
    """Whatever is JSON in what an agent printed: all of it, or single lines."""
    told = []
    for text in [printed] if _is_json(printed) else printed.splitlines():
        told += [text] if _is_json(text) else []
    return "\n".join(told)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.findall(text)
    return str(found[-1]) if found else None


def _usd(said: str | None) -> float | None:
    try:
        usd = float(said or "")
    except ValueError:
        return None
    return usd if 0 <= usd <= MOST_USD else None


def _count(said: str | None) -> int:
    return int(said) if said and said.isdecimal() and len(said) < 12 else 0
