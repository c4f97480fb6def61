"""program.md: what is read of it, what is said of a broken one, and edits while a search runs."""

import hashlib
from pathlib import Path

import pytest

from evo.errors import SettingsError
from evo.nouns import Program
from evo.program import ProgramFile, parse_program, read_program

ROOT = Path(__file__).parent.parent
TEXT = """\
---
name: mine
description: Lower is better.
goals: [a lower score]
allowed_changes:
  - everything
---

# What is wanted

Less.

## Role: architect

You think.
```python
# no heading
```

## Plain section

Stays.

## Role: optimizer
You learn.

## Operator: mutate

Be bold.

# At last

This too.
"""


def test_front_matter_body_roles_and_operators_are_told_apart() -> None:
    skill = parse_program(TEXT)
    assert (skill.front.name, skill.front.description) == ("mine", "Lower is better.")
    assert (skill.front.goals, skill.front.allowed_changes) == (["a lower score"], ["everything"])
    assert dict(skill.roles) == {
        "architect": "You think.\n```python\n# no heading\n```",
        "optimizer": "You learn.",
    }
    assert dict(skill.operators) == {"mutate": "Be bold."}
    assert skill.body == (
        "# What is wanted\n\nLess.\n\n## Plain section\n\nStays.\n\n# At last\n\nThis too."
    )
    assert skill.program == Program(TEXT, hashlib.sha256(TEXT.encode()).hexdigest())


def test_a_program_may_be_one_line() -> None:
    skill = parse_program("Lower is better.\n")
    assert (skill.body, dict(skill.roles)) == ("Lower is better.", {})


def test_the_default_program_parses_and_is_the_templates() -> None:
    text = (ROOT / "program.md").read_text()
    skill = parse_program(text)
    assert list(skill.roles) == ["architect", "optimizer", "engineer", "debugger"]
    assert list(skill.operators) == ["mutate", "cross", "repair", "simplify", "agent"]
    assert skill.front.goals
    assert skill.front.allowed_changes
    assert text == (ROOT / "evo" / "template" / "program.md").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("---\nname: x\n", "line 1: the front matter that `---` begins must end"),
        ("---\nname: x\ngoals: [a\n---\nbody", "line 4: the front matter isn't YAML"),
        ("---\nname: x\n\tgoals: y\n---\n", "line 3: the front matter isn't YAML"),
        ("---\n- a\n- b\n---\n", "line 2: the front matter must be `key: value` lines"),
        ("---\nname: x\ngoal: y\n---\n", "line 3: .* unknown key `goal`; did you mean `goals`"),
        ("---\nname: x\ngoals: y\n---\n", "line 3: `goals`: Expected `array`, got `str`"),
        ("---\nname: 3\n---\n", "line 2: `name`: Expected `str`, got `int`"),
        ("---\nwhen: !!python/name:os.system\n---\n", "line 2: the front matter isn't YAML"),
        ("Do.\n\n## Role: \n\nx\n", "line 3: `## Role:` needs a name"),
        ("Do.\n## Role: a\n\n## Role: a\n", "line 4: `## Role: a` is there twice"),
    ],
)
def test_a_broken_program_is_told_with_its_line(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        parse_program(text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("program.md")


def test_a_missing_a_binary_and_a_huge_file_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "program.md"
    with pytest.raises(SettingsError, match="can't be read: No such file"):
        read_program(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="can't be read"):
        read_program(path)
    path.write_text("x" * 300_000)
    with pytest.raises(SettingsError, match="shorten it"):
        read_program(path)


def test_an_edit_takes_effect_at_the_next_look_and_a_broken_one_is_passed_over(
    tmp_path: Path,
) -> None:
    path = tmp_path / "program.md"
    path.write_text("One.")
    changes: list[str] = []
    said: list[str] = []
    file = ProgramFile(path, lambda program: changes.append(program.text), said.append)
    assert file.current().body == "One."
    path.write_text("Two.\n\n## Role: new\n\nWords.")
    assert (file.current().body, file.current().roles["new"]) == ("Two.", "Words.")
    path.write_text("---\nname: [\n---\nThree.")
    assert file.current().body == "Two."
    assert file.current().body == "Two."
    assert len(said) == 1
    assert "program.md line" in said[0]
    assert "the version before goes on" in said[0]
    path.write_text("Four.")
    assert file.current().body == "Four."
    assert [text[:4] for text in changes] == ["One.", "Two.", "Four"]
