"""Three-way merging: what two versions changed since their common ancestor, in one text.

Git's line merge comes first. It gives up where changes touch, and in a list of constants they
often do; then names decide: an assignment, a function, a class, a member of a class is one thing,
and what only one side changed is taken. Comments go with the statement that they stand at.
"""

from __future__ import annotations

import ast
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import libcst as cst

from evo.errors import MergeConflictError, PopulationError
from evo.population.syntax import SourceError, module_of, tree_of
from evo.population.units import Statement, Unit, code, units_of

MOST_CONFLICTS = 127
"""`git merge-file` counts conflicts in its exit status up to this; above are errors."""
SHOWN_NAMES = 6


def merge(base: str, ours: str, theirs: str) -> str:
    """The text with both sides' changes.

    Raises:
        MergeConflictError: Both changed the same thing in different ways, or a text isn't Python.
        PopulationError: Git can't be run.
    """
    if ours in (base, theirs):
        return theirs
    if theirs == base:
        return ours
    if any("\0" in text for text in (base, ours, theirs)):  # which git takes for no text at all
        raise MergeConflictError("only Python can be merged, but there is a null byte")
    merged = merge_lines(base, ours, theirs)
    if merged is not None and _is_sound(merged, ours, theirs):
        return merged
    merged = merge_names(base, ours, theirs)
    try:
        tree_of(merged)
    except SourceError as error:
        raise MergeConflictError(f"the two don't go together: merged, {error}") from error
    return merged


def merge_lines(base: str, ours: str, theirs: str) -> str | None:
    """Git's merge of lines; None if there are conflicts.

    Raises:
        PopulationError: Git can't be run.
    """
    merged, conflicts = merge_file(base, ours, theirs)
    return None if conflicts else merged


def merge_file(base: str, ours: str, theirs: str, *flags: str) -> tuple[str, int]:
    """Git's merge of lines with markers around its conflicts, and how many those are.

    Raises:
        PopulationError: Git can't be run.
    """
    with tempfile.TemporaryDirectory(prefix="evo-merge-") as folder:
        paths = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for path, text in zip(paths, (ours, base, theirs), strict=True):
            path.write_bytes(text.encode("utf-8"))
        command = ["git", "merge-file", "-p", "-q", *flags, *(path.name for path in paths)]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        except OSError as error:
            raise PopulationError(f"git can't be run: {error}; install git") from error
    if done.returncode < 0 or done.returncode > MOST_CONFLICTS:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise PopulationError(f"`git merge-file` failed with {done.returncode}: {said}")
    return done.stdout.decode("utf-8"), done.returncode


def merge_names(base: str, ours: str, theirs: str) -> str:
    """The merge by names alone, without git's.

    Raises:
        MergeConflictError: Both changed the same thing in different ways, or a text isn't Python.
    """
    try:
        modules = [module_of(text) for text in (base, ours, theirs)]
    except SourceError as error:
        raise MergeConflictError(f"only Python can be merged by name, but {error}") from error
    conflicts: list[str] = []
    body = _merge_bodies([module.body for module in modules], conflicts, "")
    if conflicts:
        shown = ", ".join(conflicts[:SHOWN_NAMES])
        more = f" and {len(conflicts) - SHOWN_NAMES} more" if len(conflicts) > SHOWN_NAMES else ""
        raise MergeConflictError(f"both change {shown}{more} in different ways")
    old, one, two = modules
    return two.with_changes(
        body=body,
        header=_choose(old.header, one.header, two.header),
        footer=_choose(old.footer, one.footer, two.footer),
        has_trailing_newline=one.has_trailing_newline or two.has_trailing_newline,
    ).code


def _is_sound(merged: str, ours: str, theirs: str) -> bool:
    """Whether a merge of lines parses and defines no name more often than either side does.

    Two sides that add one function at two places merge line by line; the later one would win.
    """
    try:
        counts, one, two = (_definitions(tree_of(text)) for text in (merged, ours, theirs))
    except SourceError:
        return False
    return all(count <= max(one[name], two[name]) for name, count in counts.items())


def _definitions(tree: ast.Module) -> Counter[str]:
    found: Counter[str] = Counter()
    front: list[tuple[str, ast.stmt]] = [("", node) for node in tree.body]
    while front:
        path, node = front.pop()
        if isinstance(node, ast.Assign):
            found.update(path + each.id for each in node.targets if isinstance(each, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[path + node.target.id] += 1
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[path + node.name] += 1
            if isinstance(node, ast.ClassDef):
                front += [(f"{path}{node.name}.", each) for each in node.body]
    return found


def _merge_bodies(
    bodies: Sequence[Sequence[cst.BaseStatement]], conflicts: list[str], path: str
) -> list[Statement]:
    """The statements of a module or a class, merged.

    Args:
        bodies: The ancestor's, ours, theirs.
        conflicts: Takes the names of what can't be merged.
        path: Stands before those names, as in `Model.`.
    """
    old, one, two = map(units_of, bodies)
    kept: dict[str, Statement] = {}
    for key in _order(old, one, two):
        node = _merge_unit(old.get(key), one.get(key), two.get(key), conflicts, path)
        if node is not None:
            kept[key] = node
    conflicts += _rewritten(old, one, two, path)
    return list(kept.values())


def _merge_unit(
    old: Unit | None, one: Unit | None, two: Unit | None, conflicts: list[str], path: str
) -> Statement | None:
    """What becomes of one thing; None if it goes."""
    if one is None or two is None:
        left = one or two
        if left is None or (old is not None and left.bare == old.bare):
            return None
        if old is not None:
            conflicts.append(f"{path}{left.name} (one removes it)")
        return left.node
    if one.text == two.text or (old is not None and two.text == old.text):
        return one.node
    if old is None:
        merged = one.node if one.bare == two.bare else _union_of_imports(None, one, two)
    elif one.text == old.text:
        return two.node
    else:
        merged = _merge_inside(old, one, two, conflicts, path)
    if merged is None:
        conflicts.append(f"{path}{one.name}")
        return one.node
    return merged if old is None else _dressed(merged, old, one, two)


def _merge_inside(
    old: Unit, one: Unit, two: Unit, conflicts: list[str], path: str
) -> Statement | None:
    """One thing that both sides changed in different ways; None if they don't go together."""
    if two.bare in (one.bare, old.bare):
        return one.node
    if one.bare == old.bare:
        return two.node
    nodes = old.node, one.node, two.node
    if all(isinstance(node, cst.ClassDef) for node in nodes):
        return _merge_classes(*nodes, conflicts, f"{path}{one.name}.")
    return _union_of_imports(old, one, two) or _merge_text(old, one, two)


def _dressed(node: Statement, old: Unit, one: Unit, two: Unit) -> Statement:
    """A merged statement with the comments above and behind it, which are merged apart."""
    units = (old.node, one.node, two.node)
    node = node.with_changes(leading_lines=_choose(*(each.leading_lines for each in units)))
    lines = [each for each in units if isinstance(each, cst.SimpleStatementLine)]
    if isinstance(node, cst.SimpleStatementLine) and len(lines) == len(units):
        ends = [each.trailing_whitespace for each in lines]
        node = node.with_changes(
            trailing_whitespace=ends[2] if code(ends[1]) == code(ends[0]) else ends[1]
        )
    return node


def _merge_classes(
    old: cst.CSTNode, one: cst.CSTNode, two: cst.CSTNode, conflicts: list[str], path: str
) -> Statement | None:
    assert isinstance(old, cst.ClassDef)
    assert isinstance(one, cst.ClassDef)
    assert isinstance(two, cst.ClassDef)
    heads = [code(each.with_changes(body=_EMPTY, leading_lines=())) for each in (old, one, two)]
    if len(set(heads)) == len(heads):
        return None
    head = two if heads[1] == heads[0] else one
    blocks = [each.body for each in (old, one, two)]
    bodies = [
        [line for line in block.body if isinstance(line, cst.BaseStatement)]
        for block in blocks
        if isinstance(block, cst.IndentedBlock)
    ]
    if len(bodies) != len(blocks):  # a class on one line
        return None
    body = _merge_bodies(bodies, conflicts, path)
    return head.with_changes(body=head.body.with_changes(body=body or [_PASS]))


def _merge_text(old: Unit, one: Unit, two: Unit) -> Statement | None:
    """Git's merge within one function or other statement of several lines."""
    text = merge_lines(old.bare, one.bare, two.bare)
    if text is None:
        return None
    try:
        body = module_of(text).body
    except SourceError:
        return None
    return body[0] if len(body) == 1 else None


def _union_of_imports(old: Unit | None, one: Unit, two: Unit) -> Statement | None:
    """`from m import ...` of both sides as a set; None if these aren't that."""
    if one.imports is None or two.imports is None:
        return None
    before = (old.imports if old else None) or {}
    gone = {key for key in before if key not in one.imports or key not in two.imports}
    names = {key: node for key, node in {**one.imports, **two.imports}.items() if key not in gone}
    if not names:
        return None
    return one.with_imports(names)


def _rewritten(
    old: dict[str, Unit], one: dict[str, Unit], two: dict[str, Unit], path: str
) -> list[str]:
    """Nameless statements that both sides replaced: deleted by both, with others added by both."""
    gone = [unit for key, unit in old.items() if unit.nameless and not (key in one or key in two)]
    added = [
        {key for key, unit in side.items() if unit.nameless and key not in old}
        for side in (one, two)
    ]
    if gone and added[0] - added[1] and added[1] - added[0]:
        return [f"{path}{unit.name}" for unit in gone]
    return []


def _order(old: dict[str, Unit], one: dict[str, Unit], two: dict[str, Unit]) -> list[str]:
    """All keys of both sides: what is old in its order, what is new after its predecessor.

    A side that moved old things decides where they stand, the first one if both did. News of both
    sides at one place are sorted, so that it doesn't matter which side is which.
    """
    skeleton = _skeleton(old, one, two)
    news: dict[str, list[list[str]]] = {}
    seen = set(old)
    for side in sorted((one, two), key=list):
        for anchor, run in _runs(side, old):
            fresh = [key for key in run if key not in seen]
            seen.update(fresh)
            if fresh:
                news.setdefault(anchor, []).append(fresh)
    ordered: list[str] = []
    for anchor in ["", *skeleton]:
        ordered += [anchor] if anchor else []
        runs = news.get(anchor, [])
        for run in sorted(runs, key=lambda run: (not run[0].startswith("from __future__"), run)):
            ordered += run
    return ordered


def _skeleton(old: dict[str, Unit], one: dict[str, Unit], two: dict[str, Unit]) -> list[str]:
    """The old keys as they shall stand, with those that go: news may stand behind them."""
    order = list(old)
    for side in (one, two):
        moved = [key for key in side if key in old]
        if moved != [key for key in order if key in side]:
            for index, key in enumerate(order):
                if key not in side:
                    moved.insert(moved.index(order[index - 1]) + 1 if index else 0, key)
            return moved
    return order


def _runs(side: dict[str, Unit], old: dict[str, Unit]) -> list[tuple[str, list[str]]]:
    """New keys in a row, each row with the old key that it follows ("" at the top)."""
    runs: list[tuple[str, list[str]]] = [("", [])]
    for key in side:
        if key in old:
            runs.append((key, []))
        else:
            runs[-1][1].append(key)
    return runs


def _choose(
    old: Sequence[cst.EmptyLine], one: Sequence[cst.EmptyLine], two: Sequence[cst.EmptyLine]
) -> Sequence[cst.EmptyLine]:
    """Comments above and below everything; a conflict of those is no conflict."""
    texts = ["".join(map(code, lines)) for lines in (old, one, two)]
    return two if texts[1] == texts[0] else one


_PASS = cst.SimpleStatementLine([cst.Pass()])
_EMPTY = cst.IndentedBlock([_PASS])
