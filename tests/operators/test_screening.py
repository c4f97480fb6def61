"""Screening: what is refused without being run, and which texts are one program."""

from __future__ import annotations

import gc
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.nouns import Recipe
from evo.operators.screening import count_lines, fingerprint, screen
from evo.population.syntax import MOST_BYTES, SourceError, tree_of
from tests.operators.shelves import BASELINE, DEEPER, changed


def screened(addition: str) -> str | None:
    return screen(
        changed(BASELINE, "\nclass Block", f"\n{addition}\n\n\nclass Block"), Recipe.ARENA
    )


def test_a_proper_file_passes() -> None:
    assert screen(BASELINE, Recipe.ARENA) is None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def f(:\n", "line 1"),
        ("x = 1\n  y = 2\n", "line 2"),
        ("x = 1\ny = '\0'\n", "line 2 holds a null byte"),
        ("x = '\ud800'\n", "UTF-8"),
        ("x = 1\n" * (MOST_BYTES // 6 + 1), "at most"),
        ("x = " + "9" * 5000 + "\n", "isn't Python"),
        ("x = 0x" + "f" * 5000 + "\n", "a number is too long"),
        ("x = " + "(" * 9000 + ")" * 9000, "line 1"),
        ("x = " + "-" * 9000 + "1", "nested too deeply"),
        ("x = " + "lambda:" * 9000 + "1", "nested too deeply"),
        ("x = a" + ".b" * 900, "nested too deeply"),
        ("if a:\n    pass\n" + "elif a:\n    pass\n" * 900, "nested too deeply"),
    ],
)
def test_what_can_not_be_read_is_refused_by_every_recipe(source: str, told: str) -> None:
    for recipe in Recipe:
        cause = screen(source, recipe)
        assert cause is not None
        assert told in cause
        assert "\n" not in cause


@given(st.text())
def test_any_text_is_screened_without_an_exception(text: str) -> None:
    screen(text, Recipe.ARENA)
    count_lines(text)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("def train(arena)", "def fit(arena)", "`def train(arena)`"),
        ("def train(arena)", "def train(referee)", "takes (referee)"),
        ("def train(arena)", "def train()", "takes ()"),
        ("def train(arena)", "def train(arena, more)", "takes (arena, more)"),
        ("def train(arena)", "def train(arena, *, more)", "takes (arena, *, more)"),
        ("def train(arena)", "async def train(arena)", "`def train(arena)`"),
        ("(vocab_size, sequence_len, scale):", "(vocab_size, scale):", "build_model"),
        ("(vocab_size, sequence_len, scale):", "(sequence_len, vocab_size, scale):", "must be"),
    ],
)
def test_a_broken_contract_is_named(old: str, new: str, told: str) -> None:
    source = changed(BASELINE, old, new)
    cause = screen(source, Recipe.ARENA)
    assert cause is not None
    assert told in cause
    assert screen(source, Recipe.COMMAND) is None


def test_further_parameters_with_defaults_and_annotations_are_allowed() -> None:
    source = changed(BASELINE, "def train(arena)", "def train(arena: object, more=1, *, m=2) -> M")
    assert screen(source, Recipe.ARENA) is None


@pytest.mark.parametrize(
    "line",
    [
        "torch.manual_seed(1)",
        "torch.cuda.manual_seed(1)",
        "torch.cuda.manual_seed_all(1)",
        "torch.random.manual_seed(1)",
        "g = torch.Generator().manual_seed(1)",
        "random.seed(1)",
        "np.random.seed(1)",
        "torch.seed()",
        "seed_everything(1)",
        "rng = np.random.default_rng(0)",
        "rng = np.random.RandomState(seed=0)",
        "rng = random.Random(7)",
        "from torch import manual_seed as fine",
        "from random import seed",
        "f = torch.manual_seed",
        "torch.set_rng_state(state)",
    ],
)
def test_seeding_is_refused_with_its_line(line: str) -> None:
    cause = screened(line)
    assert cause is not None
    assert cause.startswith("line 26: ")
    assert "the referee owns the seed" in cause


@pytest.mark.parametrize(
    "line",
    ["seed = 1", "rng = np.random.default_rng()", "x = torch.randn(3)", "print('manual_seed(1)')"],
)
def test_chance_without_a_seed_is_let_through(line: str) -> None:
    assert screened(line) is None


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("x = 1  # one\n\n\ny=(2)\n", "x = 1\ny = 2\n"),
        ('"""Doc."""\nx = 1\n', "x = 1\n"),
        ('def f(a):\n    """Doc."""\n    return a\n', "def f(a):\n    return a\n"),
        ('def f(a):\n    """Doc."""\n', "def f(a):\n    pass\n"),
        ("def f(a: int) -> str:\n    b: int\n    return a\n", "def f(a):\n    return a\n"),
        ("X: int = 3\n", "X = 3\n"),
        ("x = 1e-3\n", "x = 0.001\n"),
        ("x = u'a'\n", 'x = "a"\n'),
        ("x = 'a' 'b'\n", "x = 'ab'\n"),
        ("x = 1\r\n", "x = 1"),
    ],
)
def test_equal_programs_have_equal_fingerprints(one: str, two: str) -> None:
    assert fingerprint(one) == fingerprint(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("x = 1\n", "x = 2\n"),
        ("x = 1\n", "x = 1.0\n"),
        ("x = 1\n", "x = True\n"),
        ("x = None\n", "x = ...\n"),
        ("f(a, b)\n", "f(a, b=b)\n"),
        ("f(a)\nf(b)\n", "f(b)\nf(a)\n"),
        ("x = (1, 2)\n", "x = [1, 2]\n"),
        ("x = [1, [2]]\n", "x = [[1], 2]\n"),
        ("x = {**a}\n", "x = {None: a}\n"),
        ("if a:\n    f()\ng()\n", "if a:\n    f()\n    g()\n"),
        ("class A:\n    x: int = 1\n", "class A:\n    x = 1\n"),
        ("def f(a, b=1): pass\n", "def f(a=1, b=1): pass\n"),
        ("def f(*, a, b=1): pass\n", "def f(*, a=1, b): pass\n"),
        ("x = 'a'\n", "x = b'a'\n"),
        ("x = a[1:]\n", "x = a[:1]\n"),
        ("f'{a!r}'\n", "f'{a}'\n"),
    ],
)
def test_other_programs_have_other_fingerprints(one: str, two: str) -> None:
    assert fingerprint(one) != fingerprint(two)


def test_a_fingerprint_is_the_same_on_every_machine() -> None:
    """Archives are shared: a new version of Python or of evo must not change it unnoticed."""
    assert fingerprint("def f(a, *b, c=1):\n    return a[0] + c, f'{b}'\n") == (
        "10d1eff5211f1dfeb4e34b6084bba75c1a7a5aba9435ad07cff819cfc5c13006"
    )


def test_what_is_not_python_has_no_fingerprint() -> None:
    with pytest.raises(SourceError):
        fingerprint("def f(:\n")


def test_lines_of_code_leave_out_blanks_comments_and_docstrings() -> None:
    head = '"""Doc\n\nmore."""\n# why\n\nx = 1  # one\n'
    source = f'{head}\n\ndef f():\n    """Doc."""\n    return """\n#\n"""\n'
    assert count_lines(source) == 4
    assert count_lines(DEEPER) == count_lines(BASELINE)
    assert count_lines("def f(:\n# no\n") == 1


def test_the_deepest_code_that_is_taken_is_safe_on_a_thread() -> None:
    done: list[str] = []
    source = "x = " + "+".join(["1"] * 190) + "\n"
    thread = threading.Thread(target=lambda: done.append(fingerprint(source)))
    thread.start()
    thread.join()
    assert done


class Trash:
    """Lets other threads run when it is collected, in the middle of whatever runs then."""

    def __init__(self) -> None:
        self.circle = self

    def __del__(self) -> None:
        time.sleep(0.0005)


def test_threads_that_read_at_once_do_not_disturb_each_other() -> None:
    source, broken = "\n".join(f"a{n} = [{n}, f(x, {n})]" for n in range(300)), list[Exception]()

    def read() -> None:
        for _ in range(10):
            for _ in range(20):
                Trash()
            try:
                tree_of(source)
            except Exception as error:
                broken.append(error)

    threads, before = [threading.Thread(target=read) for _ in range(4)], gc.get_threshold()
    gc.set_threshold(50)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.set_threshold(*before)
    assert not broken
