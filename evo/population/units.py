"""What a merge by names moves as one: the statements of a module or a class, each with its key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import libcst as cst

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement


@dataclass(frozen=True)
class Unit:
    """One statement: an assignment, import, function, class, or something without a name."""

    node: Statement
    name: str
    """For people: a defined name, or how the statement begins."""
    nameless: bool
    """It defines nothing: its key is made of how it begins."""

    @cached_property
    def text(self) -> str:
        """Its code with the comments at it."""
        return code(self.node)

    @cached_property
    def bare(self) -> str:
        """Its code without the comments above and behind it."""
        node = self.node.with_changes(leading_lines=())
        if isinstance(node, cst.SimpleStatementLine):
            node = node.with_changes(trailing_whitespace=cst.TrailingWhitespace())
        return code(node)

    @property
    def imports(self) -> dict[str, cst.ImportAlias] | None:
        """What a lone `from m import a, b as c` brings, by code; None for anything else."""
        line = self._import_from()
        if line is None or isinstance(line.names, cst.ImportStar):
            return None
        return {code(each.with_changes(comma=_NO_COMMA)): each for each in line.names}

    def with_imports(self, names: Mapping[str, cst.ImportAlias]) -> Statement:
        """The same import of other names, in the order of their code."""
        line = self._import_from()
        assert line is not None
        aliases = [names[key].with_changes(comma=_COMMA) for key in sorted(names)]
        aliases[-1] = aliases[-1].with_changes(comma=_NO_COMMA)
        return self.node.with_changes(body=[line.with_changes(names=aliases)])

    def _import_from(self) -> cst.ImportFrom | None:
        if not isinstance(self.node, cst.SimpleStatementLine) or len(self.node.body) != 1:
            return None
        line = self.node.body[0]
        return line if isinstance(line, cst.ImportFrom) else None


def units_of(body: Sequence[cst.BaseStatement]) -> dict[str, Unit]:
    """The statements by key, in order; the second of equal keys is called `key#2`."""
    found: dict[str, Unit] = {}
    copies = Counter[str]()
    for index, node in enumerate(body):
        assert isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement)
        name, nameless = _name_of(node, first=index == 0)
        key = name
        while key in found or not copies[name]:
            copies[name] += 1  # a text may say the same a hundred thousand times
            key = name if copies[name] == 1 else f"{name}#{copies[name]}"
        found[key] = Unit(node, name, nameless)
    return found


def code(node: cst.CSTNode) -> str:
    """The text of a node, as if it stood at the left margin."""
    return _NOWHERE.code_for_node(node)


def _name_of(node: Statement, *, first: bool) -> tuple[str, bool]:
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        return node.name.value, False
    if isinstance(node, cst.SimpleStatementLine):
        if first and _is_text(node.body[0]):
            return "the docstring", False
        parts = [_name_of_small(small) for small in node.body]
        return "; ".join(name for name, _ in parts), all(nameless for _, nameless in parts)
    return _name_of_compound(node), True


def _name_of_small(small: cst.BaseSmallStatement) -> tuple[str, bool]:
    match small:
        case cst.Assign():
            return " = ".join(code(each.target) for each in small.targets), False
        case cst.AnnAssign():
            return code(small.target), False
        case cst.ImportFrom():
            module = code(small.module) if small.module is not None else ""
            return f"from {'.' * len(small.relative)}{module}", False
        case cst.Import():
            names = sorted(code(each.with_changes(comma=_NO_COMMA)) for each in small.names)
            return f"import {', '.join(names)}", False
        case cst.AugAssign():
            return f"{code(small.target)} {code(small.operator).strip()}", True
        case cst.Expr(value=cst.Call(func=function)):
            return f"{code(function)}(...)", True
        case _:
            return code(small.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)), True


def _name_of_compound(node: cst.BaseCompoundStatement) -> str:
    match node:
        case cst.If():
            return f"if {code(node.test)}"
        case cst.While():
            return f"while {code(node.test)}"
        case cst.For():
            return f"for {code(node.target)} in {code(node.iter)}"
        case cst.With():
            return f"with {', '.join(code(each.item) for each in node.items)}"
        case _:
            return type(node).__name__.lower()


def _is_text(small: cst.BaseSmallStatement) -> bool:
    strings = (cst.SimpleString, cst.ConcatenatedString)
    return isinstance(small, cst.Expr) and isinstance(small.value, strings)


_NOWHERE = cst.Module([])
_COMMA = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
_NO_COMMA = cst.MaybeSentinel.DEFAULT
