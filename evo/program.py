"""program.md: a skill, that is YAML front matter and then Markdown, with sections of its own for
roles (`## Role: optimizer`) and for operators (`## Operator: mutate`).
"""

from __future__ import annotations

import difflib
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from evo.errors import SettingsError
from evo.nouns import Program

MOST_BYTES = 256 * 1024
_FENCE = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^## (Role|Operator): *(.*?) *$\n?", re.MULTILINE)
_HEADING = re.compile(r"^#{1,2} ", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}\Z")


class Front(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The front matter of a program; all of it may be left out."""

    name: str = ""
    description: str = ""
    """What the program is for, in a sentence or two."""
    goals: list[str] = []
    """What is wanted, one wish each."""
    allowed_changes: list[str] = []
    """What may change."""
    license: str = ""
    metadata: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Skill:
    """A program, parsed."""

    program: Program
    front: Front = field(default_factory=Front)
    body: str = ""
    """The Markdown without the sections of roles and operators."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Sections by name, in their order."""
    operators: Mapping[str, str] = field(default_factory=dict)


def parse_program(text: str, name: str = "program.md") -> Skill:
    """A program's parts.

    Raises:
        SettingsError: It is empty, or its front matter or a section can't be read; with the line.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.strip():
        raise SettingsError(f"{name} is empty; it tells the operators what you want")
    program = Program(text, hashlib.sha256(text.encode()).hexdigest())
    front, start = _front(text, name)
    body, roles, operators = list[str](), dict[str, str](), dict[str, str]()
    at = start
    # A comment in a fence of code is no heading.
    plain = _CODE.sub(lambda code: code[0].replace("#", "x"), text)
    for found in _SECTION.finditer(plain, start):
        if found.start() < at:
            continue
        line = text.count("\n", 0, found.start()) + 1
        kind, title = found[1], found[2]
        sections = roles if kind == "Role" else operators
        if not _NAME.match(title):
            raise SettingsError(
                f"{name} line {line}: `## {kind}:` needs a name of letters, digits, - and _, but "
                f"has {title!r}"
            )
        if title in sections:
            raise SettingsError(f"{name} line {line}: `## {kind}: {title}` is there twice")
        body.append(text[at : found.start()])
        heading = _HEADING.search(plain, found.end())
        at = heading.start() if heading else len(text)
        sections[title] = text[found.end() : at].strip()
    body.append(text[at:])
    whole = re.sub(r"\n{3,}", "\n\n", "".join(body)).strip()
    return Skill(program, front, whole, roles, operators)


def read_program(path: Path) -> Skill:
    """The program in a file.

    Raises:
        SettingsError: It is missing, or see `parse_program`.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise SettingsError(f"{path.name} has more than {MOST_BYTES} bytes; shorten it")
        return parse_program(text.decode("utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(
            f"{path.name} can't be read: {cause}; it tells the operators what you want, and "
            "`evo init DIR` writes one to start from"
        ) from error


class ProgramFile:
    """A program that may be edited while a search runs; safe to use from several threads.

    Args:
        path: Of the file.
        on_change: Called with each new version, before anything is asked under it.
        say: Told why a version is passed over; the last good one stays in force.

    Raises:
        SettingsError: It can't be read to begin with.
    """

    def __init__(
        self,
        path: Path,
        on_change: Callable[[Program], None] = lambda program: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._path, self._on_change, self._say = path, on_change, say
        self._lock = threading.Lock()
        self._complaint = ""
        self._skill = read_program(path)
        on_change(self._skill.program)

    def current(self) -> Skill:
        """The program as it is in the file now."""
        with self._lock:
            try:
                found = read_program(self._path)
            except SettingsError as error:
                if str(error) != self._complaint:
                    self._complaint = str(error)
                    self._say(f"{error}; the version before goes on")
                return self._skill
            self._complaint = ""
            if found.program.sha != self._skill.program.sha:
                self._on_change(found.program)
                self._skill = found
            return self._skill


def _front(text: str, name: str) -> tuple[Front, int]:
    """The front matter, and where what follows it begins."""
    if not text.startswith("---"):
        return Front(), 0
    found = _FENCE.match(text)
    if found is None:
        raise SettingsError(
            f"{name} line 1: the front matter that `---` begins must end with a line `---`"
        )
    try:
        values = yaml.safe_load(found[1]) or {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = (mark.line if mark else 0) + 2
        raise SettingsError(
            f"{name} line {line}: the front matter isn't YAML: {error.problem or error.context}"
        ) from error
    except yaml.YAMLError as error:
        raise SettingsError(
            f"{name} line 2: the front matter isn't YAML: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(values, dict):
        raise SettingsError(
            f"{name} line 2: the front matter must be `key: value` lines, not {values!r}"
        )
    try:
        named = {str(key).replace("_", "-"): value for key, value in values.items()}
        return msgspec.convert(named, Front, str_keys=True), found.end()
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(error, found[1], name)) from error


def _explain(error: msgspec.ValidationError, block: str, name: str) -> str:
    """What is wrong with a value or a key, and in which line."""
    said = str(error)
    known = list(Front.__struct_encode_fields__)
    unknown = re.search(r"unknown field `(.*?)`", said)
    wrong = re.search(r"`\$\.([\w-]+)", said)
    key = unknown[1] if unknown else wrong[1] if wrong else ""
    lines = block.splitlines()
    line = next(
        (n for n, one in enumerate(lines, 2) if one.replace("_", "-").startswith(f"{key}:")), 2
    )
    if unknown:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        advice = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
        return f"{name} line {line}: the front matter has an unknown key `{key}`; {advice}"
    return f"{name} line {line}: `{key}`: {said.partition(' - at')[0]}"
