"""Screening: what can be said of a text without running it.

Whether it is refused, how many lines it has, and which texts are the same program.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator

from evo.nouns import Recipe
from evo.population.syntax import SourceError, tree_of

CONTRACT = {"build_model": ("vocab_size", "sequence_len", "scale"), "train": ("arena",)}
SEEDING = frozenset({
    "manual_seed", "manual_seed_all", "seed_all", "seed_everything", "set_rng_state",
    "set_rng_state_all", "set_seed",
})  # fmt: skip
"""Names that are about seeding wherever they stand, called or not."""
SEEDED = frozenset({
    "default_rng", "RandomState", "Random", "SeedSequence", "PCG64", "PCG64DXSM", "MT19937",
    "Philox", "SFC64", "PRNGKey",
})  # fmt: skip
"""Generators that take a seed; without one they are let through."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def screen(source: str, recipe: Recipe) -> str | None:
    """Why a text is refused before it runs; None if nothing speaks against it.

    This catches slips, not attacks: what it lets through is still a stranger.
    """
    try:
        tree = tree_of(source)
    except SourceError as error:
        return str(error)
    if recipe is not Recipe.ARENA:
        return None
    for name, parameters in CONTRACT.items():
        cause = _broken_contract(tree, name, parameters)
        if cause:
            return cause
    first = min(_seedings(tree), default=None)
    if first is None:
        return None
    line, what = first
    return f"line {line}: {what}: a variant must not seed, the referee owns the seed; remove it"


def fingerprint(source: str) -> str:
    """SHA-256 of the program's syntax, hexadecimal: equal code has equal fingerprints.

    Formatting, comments, docstrings, and annotations outside of class bodies make no difference,
    nor does the version of Python: what it adds to its trees is empty where it isn't used. Names
    do.

    Raises:
        SourceError: It isn't Python.
    """
    return hashlib.sha256("".join(_written(tree_of(source))).encode("utf-8")).hexdigest()


def count_lines(source: str) -> int:
    """Lines of code: those that aren't blank, a comment, or part of a docstring."""
    lines = _LINE_END.split(source)
    try:
        skipped = set(_docstring_lines(tree_of(source)))
    except SourceError:
        skipped = set()
    texts = ((number, line.strip()) for number, line in enumerate(lines, 1))
    return sum(bool(text) and text[0] != "#" and number not in skipped for number, text in texts)


def _broken_contract(tree: ast.Module, name: str, wanted: tuple[str, ...]) -> str | None:
    shape = f"def {name}({', '.join(wanted)})"
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not found:
        return f"the contract is broken: the file must hold `{shape}` at its top level"
    arguments, line = found[-1].args, found[-1].lineno
    given = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    without = len(given) - len(arguments.defaults)
    is_short = without <= len(wanted) and None not in arguments.kw_defaults
    if tuple(given[: len(wanted)]) != wanted or not is_short:
        came = ast.unparse(arguments)
        return f"the contract is broken: line {line} must be `{shape}`, but takes ({came})"
    return None


def _seedings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of whatever sets a seed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names if alias.name in SEEDING]
            names += ["seed"] if _imports_seed(node) else []
            if names:
                yield node.lineno, f"importing {names[0]}"
        elif isinstance(node, ast.Attribute) and node.attr in SEEDING:
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Name) and node.id in SEEDING:
            yield node.lineno, node.id
        elif isinstance(node, ast.Call):
            called = node.func
            last = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            has_seed = last in SEEDED and (node.args or node.keywords)
            if has_seed or (last == "seed" and isinstance(called, ast.Attribute)):
                yield node.lineno, ast.unparse(called)


def _imports_seed(node: ast.ImportFrom) -> bool:
    return "random" in (node.module or "") and any(alias.name == "seed" for alias in node.names)


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, _Definition) and node.body and _is_text(node.body[0]):
            yield from range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a bare string: a docstring, or a comment in its form."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        return False
    return isinstance(node.value.value, str)


def _written(node: ast.AST, in_class: bool = False) -> Iterator[str]:
    """A tree as text, without what doesn't count."""
    if isinstance(node, ast.AnnAssign) and node.value is not None and not in_class:
        node = ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno)
    yield type(node).__name__
    yield "("
    inside = isinstance(node, ast.ClassDef)
    for name, value in ast.iter_fields(node):
        if _is_noise(node, name) or value is None or value == []:
            if isinstance(node, ast.Constant) and name == "value":
                yield "value=None"
            continue
        yield f"{name}="
        for each in value if isinstance(value, list) else [value]:
            if name == "body" and _does_nothing(each, in_class=inside):
                continue
            if isinstance(each, ast.AST):
                yield from _written(each, inside)
            else:
                yield repr(each)
            yield ","
    yield ")"


def _does_nothing(node: ast.AST, *, in_class: bool) -> bool:
    """Whether a statement has no effect; a bare annotation has one in a class."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None and not in_class
    return isinstance(node, ast.Pass) or _is_text(node)


def _is_noise(node: ast.AST, field: str) -> bool:
    if field in ("type_comment", "kind", "ctx", "type_ignores"):
        return True
    if field == "annotation":
        return isinstance(node, ast.arg)
    return field == "returns"
