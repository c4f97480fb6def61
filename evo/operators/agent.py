"""The agent: any coding agent's command line, which edits the file in a scratch folder of its own.

It gets the brief on standard input, the file and read-only context in the folder, and of the
environment what the settings name. What it leaves in the file is the proposal.
"""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import msgspec

from evo.config import AgentSettings
from evo.errors import SettingsError
from evo.nouns import Brief, Proposal
from evo.operators import prompts
from evo.operators.authoring import Author
from evo.operators.operator import Shelf, refuse, settle
from evo.sandbox.sandbox import Cell, Limits, Sandbox
from evo.text import clean_text

BRIEF, NOTE = "BRIEF.md", "PROPOSAL.md"
"""Files in its folder: what it is told, and where it may say `Title:` and `Rationale:`."""
MOST_BYTES = 1 << 20
TICK_SECONDS = 0.05
THREADS = 1
_SHIM = """
import json, os, stat, subprocess, sys
names, words = sys.argv[1].split("\\n"), sys.argv[2:]
status, left = subprocess.call(words, stdout=2), {}
for name in names:
    try:
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(opened, "rb") as file:
            if stat.S_ISREG(os.fstat(opened).st_mode):
                left[name] = file.read(%d).decode()
    except (OSError, UnicodeDecodeError):
        pass
json.dump(left, sys.stdout)
sys.exit(min(abs(status), 255))
"""
"""Runs in the cell, around the agent: what it leaves comes out through the pipe, because the folder
may be one that only the cell can see. What is printed goes to the log."""


class Agent:
    """Has a command line change the variant `brief.parents[0]`.

    Args:
        settings: The command, its time and what it may use.
        author: Knows the program and the history.
        sandbox: How it is started.
        variables: The environment that the named variables are taken from.

    Raises:
        SettingsError: The command makes no sense.
    """

    name = "agent"

    def __init__(
        self,
        settings: AgentSettings,
        author: Author,
        sandbox: Sandbox,
        variables: Mapping[str, str],
        is_closed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings, self._author, self._sandbox = settings, author, sandbox
        self._is_closed = is_closed
        try:
            self._words = shlex.split(settings.command)
        except ValueError as error:
            raise SettingsError(f"tool.evo.agent.command can't be used: {error}") from error
        if not self._words:
            raise SettingsError("tool.evo.agent.command must name a program")
        missing = [name for name in settings.variables if name not in variables]
        if missing:
            raise SettingsError(
                f"tool.evo.agent.variables names {', '.join(missing)}, which the environment "
                "doesn't have; export it, or take it out of the list"
            )
        self._variables = {name: variables[name] for name in settings.variables}

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        if not brief.parents:
            return refuse(brief, "agent takes a parent, but got none")
        author, skill = self._author, self._author.program()
        ours = shelf.source(brief.parents[0])
        role = brief.role if brief.role in skill.roles else ""
        messages = prompts.compose(
            self.name, role, skill, author.situation, author.dossier(brief.parents[0], ours)
        )
        told = "\n\n".join(message.text for message in messages)
        told += f"\n\nWrite `Title: ...` and `Rationale: ...` into {NOTE} when you are done."
        cell = self._sandbox.start(
            ["python", "-c", _SHIM % MOST_BYTES, f"{author.editable}\n{NOTE}", *self._words],
            limits=Limits(memory_mb=self._settings.memory_mb),
            threads=THREADS,
            files={author.editable: ours, BRIEF: told, "program.md": skill.program.text},
            variables=self._variables,
        )
        try:
            cause, left = self._wait(cell, told)
        finally:
            cell.end()
        after, note = left.get(author.editable), left.get(NOTE, "")
        if cause:
            last = [line for line in clean_text(cell.log.tail()).splitlines() if line.strip()]
            said = f": {last[-1].strip()}" if last else ""
            proposal = refuse(brief, f"the agent {cause}{said}"[:400])
        elif after is None:
            proposal = refuse(brief, f"the agent left no file {author.editable} that can be read")
        else:
            title, rationale = _headers(note)
            proposal = settle(brief, ours, after, title=title, rationale=rationale)
        return replace(proposal, role=role, model=self._words[0], program_sha=skill.program.sha)

    def _wait(self, cell: Cell, told: str) -> tuple[str, dict[str, str]]:
        """Waits for the agent's end: what went wrong, or nothing, and the texts that it left."""
        said = bytearray()
        pipes = [
            threading.Thread(target=_write_all, args=(cell.inbound, told), daemon=True),
            threading.Thread(target=_read_all, args=(cell.outbound, said), daemon=True),
        ]
        for pipe in pipes:
            pipe.start()
        cause, deadline = "", time.monotonic() + self._settings.timeout_seconds
        while cell.process.poll() is None and not cause:
            if time.monotonic() > deadline:
                cause = f"took more than {self._settings.timeout_seconds:g} s"
            elif self._is_closed():
                cause = "was ended with the engine"
            time.sleep(TICK_SECONDS)
        status = cell.process.returncode
        if not cause and status:
            cause = f"ended with exit status {status}"
        cell.kill()
        for pipe in pipes:
            pipe.join()
        try:
            return cause, msgspec.json.decode(bytes(said), type=dict[str, str])
        except msgspec.MsgspecError:
            return cause or "left nothing that can be read", {}


def _write_all(descriptor: int, text: str) -> None:
    """Writes the brief to the agent's standard input and closes it."""
    left = text.encode("utf-8", "replace")
    with suppress(OSError):  # it doesn't read, or is gone
        while left:
            left = left[os.write(descriptor, left) :]
    # The cell closes its descriptor at its end: until then it leads nowhere.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _read_all(descriptor: int, said: bytearray) -> None:
    """Reads what comes, up to what two files may hold and JSON makes of them."""
    with suppress(OSError):
        while data := os.read(descriptor, 1 << 16):
            if len(said) < 12 * MOST_BYTES:
                said += data


def _headers(note: str) -> tuple[str, str]:
    """Title and rationale of what the agent said at the end."""
    said = {"title": "", "rationale": ""}
    key = ""
    for line in clean_text(note).splitlines():
        name, colon, rest = line.strip("#* ").partition(":")
        if colon and name.strip("* ").lower() in said:
            key = name.strip("* ").lower()
            said[key] = rest.strip("* ")
        elif key:
            said[key] = f"{said[key]} {line.strip()}".strip()
    return said["title"] or "By an agent", said["rationale"]
