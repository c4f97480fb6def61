"""Reading: any question, but none that writes, reaches out or never ends."""

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from evo.archive.archive import Archive
from evo.archive.publication import publish
from evo.archive.reading import Reader
from evo.archive.schema import VERSION
from evo.errors import ArchiveError
from evo.nouns import Estimate, Measurement, Outcome, Purpose, Recipe, Standing, Status
from evo.report.story import tell
from tests.archive.records import NOW, RUN, proposal, trial, variant
from tests.archive.test_archive import record


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baseline 2.0; 1 is 0.2 better, 2 is worse, 3 crosses both, 4 crashed; 3 leads."""
    folder = tmp_path_factory.mktemp("reading")
    archive = Archive.open(folder / "run.duckdb")
    archive.begin_run(RUN)
    family = {0: (), 1: (0,), 2: (0,), 3: (1, 2), 4: (3,)}
    for number, parents in family.items():
        operator = "crossover" if len(parents) == 2 else "tune" if parents else "baseline"
        archive.record_proposal(
            proposal(number, parents=parents, operator=operator),
            variant(number, parents, operator=operator),
            NOW,
        )
    archive.record_proposal(proposal(5, Outcome.DUPLICATE, twin=1), None, NOW)
    scores = [(0, 0, 2.0), (1, 1, 1.8), (2, 2, 2.1), (3, 3, 1.7), (4, 4, None)]
    for number, of, score in scores:
        record(archive, trial(number, of, score))
    record(archive, trial(5, 3, 1.6, Purpose.REPLICATE), Standing.CHAMPION)
    archive.record_champion(0, Estimate(2.0, 0.1, 1), NOW)
    archive.record_champion(3, Estimate(1.65, 0.05, 2), NOW)
    publish(archive, folder / "archive.duckdb")
    archive.close()
    return folder / "archive.duckdb"


def test_lineage_gives_each_variant_its_effect_on_its_first_parent(published: Path) -> None:
    with Reader.open(published) as reader:
        found = reader.query("SELECT variant, round(effect, 3), trials FROM lineage").rows
    assert found == ((0, None, 1), (1, -0.2, 1), (2, 0.1, 1), (3, -0.15, 2), (4, None, 0))


def test_the_champion_path_leads_from_the_baseline_along_first_parents(published: Path) -> None:
    with Reader.open(published) as reader:
        found = reader.query(
            "SELECT step, variant, round(effect, 3), round(from_baseline, 3) FROM champion_path"
        ).rows
    assert found == ((0, 0, None, 0.0), (1, 1, -0.2, -0.2), (2, 3, -0.15, -0.35))


def test_operator_yield_counts_what_became_of_every_proposal(published: Path) -> None:
    with Reader.open(published) as reader:
        found = reader.query(
            "SELECT operator, proposals, accepted, duplicates, trials, scored, better, champions "
            "FROM operator_yield ORDER BY operator"
        ).rows
    assert found == (
        ("baseline", 1, 1, 0, 1, 1, 0, 1),
        ("crossover", 1, 1, 0, 2, 2, 1, 1),
        ("tune", 4, 3, 1, 3, 2, 1, 0),
    )


def test_noise_is_pooled_over_replicates_and_val_bpb_is_the_score(published: Path) -> None:
    with Reader.open(published) as reader:
        [[std, freedom]] = reader.query("FROM noise").rows
        [[bpb, speed]] = reader.query(
            "SELECT val_bpb, tokens_per_second FROM trials WHERE id = 1"
        ).rows
    assert std == pytest.approx(0.1 / 2**0.5)
    assert freedom == 1
    assert (bpb, speed) == (1.8, 100.0)


def test_a_self_reported_score_is_never_called_bits_per_byte(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "run.duckdb")
    archive.begin_run(replace(RUN, recipe=Recipe.COMMAND))
    record(archive, trial(0, 0, 1.0))
    publish(archive, tmp_path / "a.duckdb")
    archive.close()
    with Reader.open(tmp_path / "a.duckdb") as reader:
        assert reader.query("SELECT score, val_bpb, self_reported FROM trials").rows == (
            (1.0, None, True),
        )


def test_family_macros_walk_both_ways(published: Path) -> None:
    with Reader.open(published) as reader:
        up = reader.query("SELECT variant FROM ancestors(4)").rows
        down = reader.query("SELECT variant FROM descendants(2)").rows
    assert up == ((0,), (1,), (2,), (3,))
    assert down == ((3,), (4,))


def test_everything_that_can_be_asked_is_explained(published: Path) -> None:
    with Reader.open(published) as reader:
        relations = reader.relations()
    assert {"trials", "lineage", "ancestors"} <= {one.name for one in relations}
    for one in relations:
        assert one.columns, one.name
        assert one.comment or one.kind == "macro" or one.name in ("told",), one.name


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM trials", "can only be read"),
        ("CREATE TABLE x (y INTEGER)", "can only be read"),
        ("FROM trails", "There is: "),
        ("SELECT nonsense FROM trials", "nonsense"),
        ("SELEC 1", "syntax error"),
        ("", "there is no question"),
        (" -- SELECT 1\n;", "there is no question"),
        ("FROM read_csv('/etc/passwd')", "disabled"),
        ("COPY trials TO '/tmp/stolen.csv'", "disabled"),
        ("ATTACH '/tmp/other.duckdb'", "disabled"),
        ("SET enable_external_access = true", "locked"),
        ("INSTALL httpfs", ""),
    ],
)
def test_a_question_that_is_refused_says_why_in_one_line(
    published: Path, sql: str, words: str
) -> None:
    with Reader.open(published) as reader:
        with pytest.raises(ArchiveError) as caught:
            reader.query(sql)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert reader.query("SELECT 1").rows == ((1,),)


def test_a_question_that_never_ends_is_given_up(published: Path) -> None:
    endless = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b"
    with Reader.open(published) as reader, pytest.raises(ArchiveError, match="given up"):
        reader.query(endless, seconds=0.3)


def test_an_archive_that_cannot_be_read_is_one_clear_line(tmp_path: Path, published: Path) -> None:
    with pytest.raises(ArchiveError, match="no archive at"):
        Reader.open(tmp_path / "none.duckdb")
    half = tmp_path / "half.duckdb"
    half.write_bytes(published.read_bytes()[:9000])
    with pytest.raises(ArchiveError, match="can't be read"):
        Reader.open(half)
    newer = tmp_path / "newer.duckdb"
    newer.write_bytes(published.read_bytes())
    with duckdb.connect(str(newer)) as connection:
        connection.execute("UPDATE meta SET schema_version = ?", [VERSION + 1])
    with pytest.raises(ArchiveError, match="update evo"):
        Reader.open(newer)


def test_optimism_is_what_a_champion_loses_on_holdout_beyond_the_baseline(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "run.duckdb")
    archive.begin_run(RUN)
    scores = {0: (2.0, 2.3), 1: (1.5, 1.9)}
    for number, (search, holdout) in scores.items():
        archive.record_proposal(proposal(number), variant(number), NOW)
        measured = Measurement(Status.SCORED, search, holdout_score=holdout)
        record(archive, replace(trial(number, number, search), measurement=measured))
        archive.record_champion(number, Estimate(search, 0.1, 1), NOW)
    publish(archive, tmp_path / "a.duckdb")
    archive.close()
    with Reader.open(tmp_path / "a.duckdb") as reader:
        found = reader.query("SELECT variant, gap, optimism FROM optimism").rows
        story = tell(reader, 1)
    assert [row[0] for row in found] == [0, 1]
    assert [row[1] for row in found] == pytest.approx([0.3, 0.4])
    assert [row[2] for row in found] == pytest.approx([0.0, 0.1])
    assert story.holdout == 1.9
    assert story.optimism == pytest.approx(0.1)


def test_who_was_caught_cheating_has_no_score_and_has_gained_nothing(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "run.duckdb")
    archive.begin_run(RUN)
    for number in range(3):
        archive.record_proposal(proposal(number), variant(number), NOW)
        archive.record_champion(number, Estimate(2.0, 0.1, 1), NOW)
    caught = Measurement(Status.DISHONEST, cause="it claims too much")
    told = [(0, 2.0), (0, None), (1, 1.0), (1, None), (1, 1.4), (2, 1.9)]
    for number, (of, score) in enumerate(told):
        fair = caught if score is None else Measurement(Status.SCORED, score, holdout_score=score)
        record(archive, replace(trial(number, of, score), measurement=fair))
    publish(archive, tmp_path / "a.duckdb")
    archive.close()
    with Reader.open(tmp_path / "a.duckdb") as reader:
        lineage = reader.query("SELECT variant, score, effect, trials FROM lineage").rows
        gained = reader.query("SELECT better, mean_gain FROM operator_yield").rows
        holdout = reader.query("SELECT variant, holdout FROM optimism").rows
        noise = reader.query("SELECT std FROM noise").rows
    assert lineage == ((0, 2.0, None, 1), (1, None, None, 0), (2, 1.9, None, 1))
    assert gained == ((0, None),)
    assert holdout == ((0, 2.0), (1, None), (2, 1.9))
    assert noise == ((None,),)


def test_opening_a_strangers_file_reads_no_other(tmp_path: Path) -> None:
    """Its `meta` may be a view that is asked before anybody asks anything."""
    secret, path = tmp_path / "secret.txt", tmp_path / "archive.duckdb"
    secret.write_text("secret")
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA other")
        connection.execute("CREATE TABLE other.meta (schema_version INTEGER)")
        connection.execute(
            f"CREATE VIEW meta AS SELECT 1 AS schema_version FROM read_text('{secret}')"
        )
    with pytest.raises(ArchiveError, match="not an archive"):
        Reader.open(path)
