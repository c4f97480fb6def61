"""Stories: from the archive to what a person reads, and names to variants."""

from pathlib import Path

import pytest
from rich.console import Console

from evo.archive.reading import Reader
from evo.errors import ArchiveError
from evo.report.story import resolve, tell, unconfirmed
from evo.report.summary import print_summary
from tests.archive.test_reading import published

__all__ = ["published"]


def test_a_story_leads_from_the_baseline_to_the_variant_with_its_gain(published: Path) -> None:
    with Reader.open(published) as reader:
        story = tell(reader, resolve(reader, "best"))
    assert [step.variant for step in story.steps] == [0, 1, 2, 3]
    assert story.variant.parents == (1, 2)
    assert story.gain == pytest.approx(0.35)
    noise = 0.1 / 2**0.5
    assert story.gain_error == pytest.approx((noise**2 / 2 + noise**2) ** 0.5)
    assert [step.better for step in story.steps] == [None, True, False, True]


@pytest.mark.parametrize(
    ("name", "variant"),
    [("best", 3), ("baseline", 0), ("2", 2), ("v2", 2), (f"{4:040x}", 4)],
)
def test_a_variant_is_found_by_what_people_type(published: Path, name: str, variant: int) -> None:
    with Reader.open(published) as reader:
        assert resolve(reader, name) == variant


@pytest.mark.parametrize("name", ["99", "vx", "9" * 10, "v" + "9" * 5000])
def test_a_name_of_nobody_says_what_there_is(published: Path, name: str) -> None:
    with Reader.open(published) as reader, pytest.raises(ArchiveError, match="from 0 to 4"):
        resolve(reader, name)


def test_whoever_has_a_better_mean_than_the_champion_is_unconfirmed(published: Path) -> None:
    with Reader.open(published) as reader:
        assert unconfirmed(reader, tell(reader, 3)) is None
        contender = unconfirmed(reader, tell(reader, 0))
        assert contender is not None
        assert contender.variant == 3


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_summary_says_what_was_gained_and_what_to_type_next(
    published: Path, width: int
) -> None:
    console = Console(width=width, record=True, force_terminal=False)
    print_summary(published, console)
    text = console.export_text()
    assert "0.3500" in text
    assert "evo checkout 3" in text
    assert "6 trials, 5 with a score, of 5 variants (1 crossovers)" in " ".join(text.split())
