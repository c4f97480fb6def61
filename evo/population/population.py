"""The population: every version of the editable file as a commit of a bare git repository.

A variant is a commit with its parents as parents, a merge commit if there are two, and each has a
ref of its own, `refs/variants/<id>`, so that git's garbage collection loses none of them. The
branch `champion` walks the confirmed improvements: `git log champion` reads like a lab book.

There is no work tree and one writer. Objects and refs are written by this process and synced to
the disk, objects first: whenever the power goes or the process is killed, each ref that is there
has everything below it. The formats are those of git-hash-object(1) and gitrepository-layout(5).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Literal

from evo.errors import PopulationError
from evo.population.message import printable

if TYPE_CHECKING:
    from git import Repo
    from git.exc import GitCommandError
    from gitdb import LooseObjectDB  # type: ignore[import-untyped]

Kind = Literal["blob", "tree", "commit"]

WHO = "evo <evo@localhost>"
CHAMPION, VARIANTS = "refs/heads/champion", "refs/variants"
NO_COMMIT = "0" * 40
CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = false
\tbare = true
\tfsync = committed,reference
[gc]
\tauto = 0
[pack]
\tthreads = 1
"""
"""Packing takes one core and never starts by itself: trials are measured on the others."""
RESTORE = "bring it back from archive/RUN/variants.bundle with `git clone --mirror`"


class Population:
    """The repository of one run. Reading is safe from several threads, writing from one.

    Args:
        repo: The bare repository.
        path: Its folder.
        editable: Name of the one file that each commit holds.
    """

    def __init__(self, repo: Repo, path: Path, editable: str) -> None:
        self._repo, self._path, self._editable = repo, path, editable
        self._parts = PurePosixPath(editable).parts
        if not self._parts or self._parts[0] == "/" or ".." in self._parts:
            raise PopulationError(
                f"the editable file must be named from the project folder, but is {editable!r}"
            )

    @classmethod
    def create(cls, path: Path, editable: str) -> Population:
        """A new repository without commits.

        Raises:
            PopulationError: There is something already, or the folder can't be written.
        """
        if path.exists() and any(path.iterdir()):
            raise PopulationError(f"{path} must be empty for a new population, but it is not")
        try:
            for folder in ("objects/info", "objects/pack", "refs/heads", VARIANTS):
                (path / folder).mkdir(parents=True, exist_ok=True)
            (path / "config").write_text(CONFIG)
            (path / "HEAD").write_text(f"ref: {CHAMPION}\n")
            _sync([path / "config", path / "HEAD", path / VARIANTS, path / "refs/heads"])
        except OSError as error:
            raise PopulationError(f"no repository can be made at {path}: {error}") from error
        return cls.open(path, editable)

    @classmethod
    def open(cls, path: Path, editable: str) -> Population:
        """The repository that is there.

        Raises:
            PopulationError: It isn't one, or git isn't installed.
        """
        try:
            # Imported here because GitPython looks for git when it is imported.
            from git import Repo
            from git.exc import InvalidGitRepositoryError, NoSuchPathError
        except ImportError as error:
            raise PopulationError("git is needed and isn't found; install git") from error
        try:
            repo = Repo(path, expand_vars=False)
        except (InvalidGitRepositoryError, NoSuchPathError) as error:
            raise PopulationError(
                f"{path} must be a git repository, but is none; {RESTORE}"
            ) from error
        if not repo.bare:
            raise PopulationError(f"{path} must be a bare git repository, but has a work tree")
        return cls(repo, path, editable)

    # Writing

    def commit(
        self, source: str, *, parents: Sequence[str], message: str, when: datetime, variant: int
    ) -> str:
        """Keeps a version for good; its commit. Equal arguments give the equal commit.

        Args:
            source: Text of the editable file.
            parents: Commits of the versions that it comes from.
            message: As `evo.population.message` makes it.
            when: UTC; naive or aware.
            variant: Its id; a ref of that id that is there already is moved.

        Raises:
            PopulationError: A parent is missing, or the repository can't be written.
        """
        for parent in parents:
            self._read(parent, "commit")
        stamp = f"{WHO} {_unix_seconds(when)} +0000"
        try:
            stored = [self._store("blob", source.encode("utf-8"))]
            for depth, name in enumerate(reversed(self._parts)):
                mode = b"40000" if depth else b"100644"
                tree = mode + b" " + name.encode() + b"\0" + bytes.fromhex(stored[-1])
                stored.append(self._store("tree", tree))
            lines = [f"tree {stored[-1]}", *(f"parent {parent}" for parent in parents)]
            lines += [f"author {stamp}", f"committer {stamp}", "", message]
            stored.append(self._store("commit", "\n".join(lines).encode("utf-8", "replace")))
            _sync(self._object_path(sha) for sha in stored)
            _write_ref(self._path / VARIANTS / str(variant), stored[-1])
        except (OSError, UnicodeEncodeError) as error:
            raise PopulationError(
                f"variant {variant} can't be committed to {self._path}: {error}; make sure that "
                "the folder can be written and the disk has space"
            ) from error
        return stored[-1]

    def set_champion(self, commit: str, why: str, when: datetime | None = None) -> None:
        """Points the branch `champion`, and HEAD through it, at a variant's commit.

        Args:
            commit: The variant's commit. Nothing happens if it is the champion already.
            why: A line for `git reflog champion`.
            when: UTC, for the reflog; None takes the date of the commit.

        Raises:
            PopulationError: The commit is missing, or the repository can't be written.
        """
        data = self._read(commit, "commit")
        try:
            before = self.champion()
        except PopulationError:  # a damaged ref, which is about to be written anew
            before = None
        if before == commit:
            return
        seconds = _committed_at(data) if when is None else _unix_seconds(when)
        line = f"{before or NO_COMMIT} {commit} {WHO} {seconds} +0000\t{printable(why)}\n"
        log = self._path / "logs" / CHAMPION
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8", errors="replace") as file:
                file.write(line)
            _sync([log])
            _write_ref(self._path / CHAMPION, commit)
        except OSError as error:
            raise PopulationError(
                f"the champion can't be noted in {self._path}: {error}; make sure that the folder "
                "can be written and the disk has space"
            ) from error

    def bundle(self, path: Path) -> None:
        """Writes all variants and the champion into one file that `git clone` takes.

        Written beside and renamed: a reader finds the old bundle or the new one, never a part.

        Raises:
            PopulationError: There is nothing to bundle, an object is missing, or no space.
        """
        beside = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                # To standard output, for git leaves a lock beside a file if it is killed.
                self._git("bundle", "create", "-q", "-", "--all", into=file)
            _sync([beside])
            beside.rename(path)
            _sync([path])
        except OSError as error:
            raise PopulationError(
                f"{path} can't be written: {error}; make sure that the folder can be written and "
                "the disk has space"
            ) from error
        finally:
            with contextlib.suppress(OSError):  # gone is what it should be
                beside.unlink()

    # Reading

    def source(self, commit: str) -> str:
        """Text of the editable file in a commit, exactly as it was committed.

        Raises:
            PopulationError: An object is missing or damaged, or the commit holds no such file.
        """
        at = self._read(commit, "commit")[len("tree ") :][:40].decode("ascii", "replace")
        for depth, name in enumerate(self._parts, 1):
            mode = b"100644" if depth == len(self._parts) else b"40000"
            head, entry = mode + b" " + name.encode() + b"\0", self._read(at, "tree")
            if not entry.startswith(head):
                raise PopulationError(
                    f"commit {commit} must hold {self._editable}, but holds something else; "
                    "this run was begun with another file"
                )
            at = entry[len(head) :][:20].hex()
        try:
            return self._read(at, "blob").decode("utf-8")
        except UnicodeDecodeError as error:
            raise PopulationError(f"{self._editable} of {commit} isn't UTF-8: {error}") from error

    def champion(self) -> str | None:
        """The champion's commit; None before the first.

        Raises:
            PopulationError: The ref is damaged.
        """
        from git import SymbolicReference

        try:
            return SymbolicReference.dereference_recursive(self._repo, CHAMPION)
        except (ValueError, AssertionError) as error:  # the latter for an empty file
            if not (self._path / CHAMPION).exists():
                return None
            raise PopulationError(
                f"{CHAMPION} in {self._path} must name a commit, but is damaged; {RESTORE}"
            ) from error

    def check(self) -> None:
        """Looks whether each ref has all of its objects.

        Raises:
            PopulationError: Something is missing or damaged; the message names the first.
        """
        self.champion()
        self._git("fsck", "--connectivity-only", "--no-dangling", "--no-progress")

    # How

    def _read(self, sha: str, kind: Kind) -> bytes:
        """An object's content, compared with its name."""
        from git.exc import BadObject, GitCommandError

        try:
            data: bytes = self._loose().stream(bytes.fromhex(sha)).read()
        except BadObject:  # somebody ran `git gc`: it is in a pack
            try:
                data = self._command("cat-file", kind, sha)
            except GitCommandError as error:
                raise PopulationError(self._lost(sha, kind, "missing")) from error
        except (ValueError, OSError, zlib.error) as error:
            raise PopulationError(self._lost(sha, kind, "damaged")) from error
        if _name_of(kind, data) != sha:
            raise PopulationError(self._lost(sha, kind, "damaged"))
        return data

    def _store(self, kind: Kind, data: bytes) -> str:
        """Writes an object unless it is there and whole; its name."""
        from gitdb import IStream

        sha = _name_of(kind, data)
        path = self._object_path(sha)
        if path.exists():
            try:
                self._read(sha, kind)
            except PopulationError:  # what a power cut left of it
                path.unlink()
        self._loose().store(IStream(kind.encode(), len(data), BytesIO(data)))
        return sha

    def _loose(self) -> LooseObjectDB:
        # A new one each time: it is light, and an old one remembers files that are gone.
        from gitdb import LooseObjectDB

        return LooseObjectDB(str(self._path / "objects"))

    def _object_path(self, sha: str) -> Path:
        return self._path / "objects" / sha[:2] / sha[2:]

    def _lost(self, sha: str, kind: Kind, how: str) -> str:
        return f"{kind} {sha} must be in {self._path}, but it is {how}; {RESTORE}"

    def _command(self, *arguments: str, into: BinaryIO | None = None) -> bytes:
        # The folder is named, lest git in a hook of another repository takes that one.
        command = ["git", "--git-dir", str(self._path.absolute()), *arguments]
        said = self._repo.git.execute(
            command, output_stream=into, stdout_as_string=False, strip_newline_in_stdout=False
        )
        return said if isinstance(said, bytes) else b""

    def _git(self, *arguments: str, into: BinaryIO | None = None) -> None:
        from git.exc import GitCommandError

        try:
            self._command(*arguments, into=into)
        except GitCommandError as error:
            raise PopulationError(
                f"`git {arguments[0]}` finds {self._path} damaged: {_complaint(error)}; {RESTORE}"
            ) from error


def _name_of(kind: Kind, data: bytes) -> str:
    head = f"{kind} {len(data)}\0".encode()
    return hashlib.sha1(head + data, usedforsecurity=False).hexdigest()


def _unix_seconds(when: datetime) -> int:
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return int(aware.timestamp())


def _committed_at(commit: bytes) -> int:
    """Unix seconds of the committer's line."""
    line = next(line for line in commit.splitlines() if line.startswith(b"committer "))
    return int(line.split()[-2])


def _write_ref(path: Path, commit: str) -> None:
    """Points a ref at a commit, for good.

    The file beside it has the name of git's own lock. One that is there was left by a process that
    was killed, for there is one writer: it is written over.
    """
    beside = path.with_name(f"{path.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)  # git removes an empty folder of refs
    beside.write_text(f"{commit}\n")
    _sync([beside])
    beside.rename(path)
    _sync([path])


def _sync(paths: Iterable[Path]) -> None:
    """Has files, their folders and the folders above those on the disk."""
    known = list(paths)
    folders = {path.parent for path in known}
    for path in [*known, *sorted(folders), *sorted({folder.parent for folder in folders})]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _complaint(error: GitCommandError) -> str:
    """The first line that says what is wrong."""
    text = f"{error.stdout}\n{error.stderr}"
    lines = [line.strip(" '\t") for line in text.splitlines() if line.strip(" '\t")]
    told = [line for line in lines if line.startswith(("missing", "error", "fatal"))]
    return (told or lines or [f"exit status {error.status}"])[0]
