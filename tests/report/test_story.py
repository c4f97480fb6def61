"""Stories: from the archive to what a person reads, and names to variants."""

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from evo.archive.archive import Archive
from evo.archive.publication import publish
from evo.archive.reading import Reader
from evo.errors import ArchiveError
from evo.nouns import Estimate, Favour, Measurement, Purpose, Status, Wish
from evo.report.story import resolve, tell, unconfirmed
from evo.report.summary import AtWork, print_summary
from tests.archive.records import NOW, RUN, proposal, trial, variant
from tests.archive.test_archive import record
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
    assert "--run" not in text
    assert "6 trials, 5 with a score, of 5 variants (1 crossover)" in " ".join(text.split())


def test_nobody_who_cheats_or_is_banned_is_said_to_seem_better(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "run.duckdb")
    archive.begin_run(RUN)
    for number, score in enumerate((2.0, 1.9, 1.0, 1.5, 1.7)):
        parents = (0,) if number else ()
        archive.record_proposal(proposal(number, parents=parents), variant(number, parents), NOW)
        record(archive, trial(number, number, score))
    caught = Measurement(Status.DISHONEST, cause="it claims too much")
    record(archive, replace(trial(5, 2, None, Purpose.REPLICATE), measurement=caught))
    for number, favour in ((3, Favour.BANNED), (4, Favour.BANNED), (4, Favour.NONE)):
        archive.record_wish(Wish(number, favour), "ada", NOW)
    publish(archive, tmp_path / "a.duckdb")
    archive.close()
    with Reader.open(tmp_path / "a.duckdb") as reader:
        contender = unconfirmed(reader, tell(reader, 1))
        assert contender is not None
        assert contender.variant == 4
        assert tell(reader, 2).variant.score is None


def test_in_an_archive_without_wishes_nobody_is_banned(published: Path, tmp_path: Path) -> None:
    older = tmp_path / "older.duckdb"
    older.write_bytes(published.read_bytes())
    with duckdb.connect(str(older)) as connection:
        connection.execute("DROP TABLE wishes")
    with Reader.open(older) as reader:
        contender = unconfirmed(reader, tell(reader, 0))
    assert contender is not None
    assert contender.variant == 3


def test_commands_that_are_suggested_name_the_run_where_they_must(published: Path) -> None:
    console = Console(width=80, record=True, force_terminal=False)
    print_summary(published, console, " --run night")
    text = console.export_text()
    for command in (
        "evo diff 3 baseline --run night ",
        "evo checkout 3 --run night > best.py ",
        'evo sql "from operator_yield" --run night ',
        "evo run --run night ",
    ):
        assert command in text


def summary(archive: Path, flag: str = "", engine: AtWork = AtWork.NOBODY) -> str:
    console = Console(width=200, record=True, force_terminal=False)
    print_summary(archive, console, flag, engine=engine)
    return console.export_text()


@pytest.fixture(scope="module")
def unproven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline that leads, and a variant with a better score that isn't proven."""
    folder = tmp_path_factory.mktemp("unproven")
    archive = Archive.open(folder / "run.duckdb")
    archive.begin_run(RUN)
    for number, score in enumerate((2.0, 1.9)):
        parents = (0,) if number else ()
        archive.record_proposal(proposal(number, parents=parents), variant(number, parents), NOW)
        record(archive, trial(number, number, score))
    archive.record_champion(0, Estimate(2.0, 0.1, 1), NOW)
    publish(archive, folder / "archive.duckdb")
    archive.close()
    return folder / "archive.duckdb"


@pytest.mark.parametrize(
    ("engine", "who", "offered", "not_offered"),
    [
        (AtWork.NOBODY, "`evo run` finds out", ["evo run "], ["evo tui", "evo resume"]),
        (AtWork.SEARCHING, "the engine at work finds out by itself", ["evo tui "],
         ["evo run", "evo resume"]),
        (AtWork.PAUSED, "the engine finds out after `evo resume`", ["evo resume ", "evo tui "],
         ["evo run"]),
        (AtWork.FINISHING, "the next `evo run` finds out", ["evo tui "], ["evo run ", "resume"]),
    ],
)  # fmt: skip
def test_an_engine_at_work_is_watched_and_none_is_started_beside_it(
    unproven: Path, engine: AtWork, who: str, offered: list[str], not_offered: list[str]
) -> None:
    text = summary(unproven, engine=engine)
    assert f"which may still be luck; {who}" in text
    commands = text.partition("\nnext")[2]
    assert all(command in commands for command in offered)
    assert not any(command in commands for command in not_offered)


def test_the_terminal_is_given_the_name_of_a_run_that_the_settings_do_not_name(
    published: Path,
) -> None:
    assert "  evo tui night " in summary(published, " --run night", AtWork.SEARCHING)


def test_where_the_baseline_leads_what_may_be_better_is_shown_and_nothing_taken_home(
    unproven: Path,
) -> None:
    text = summary(unproven)
    assert "  evo show 1 " in text
    assert "evo show 0" not in text
    assert "evo checkout" not in text
