"""What the screens show, as plain data, without a terminal."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import duckdb
import pytest
from msgspec.structs import replace as replace_struct
from rich.cells import cell_len

from evo.archive.reading import Reader
from evo.engine import curves, heartbeat, inbox
from evo.engine.heartbeat import Phase
from evo.engine.inbox import Verb
from evo.errors import ArchiveError
from evo.nouns import CurvePoint, Direction
from evo.report import words
from evo.tui.views import ablation, overview, plotting, running, variant
from evo.tui.views.filtering import FilterError, parse
from evo.tui.views.lending import Lender
from evo.tui.views.lineage import Family, pieces
from evo.tui.views.overview import Severity
from evo.tui.views.place import Place, look
from evo.tui.views.program import standing
from evo.tui.views.snapshot import Snapshot
from tests.tui.runs import beat, empty_run, make_large, make_run, running_trial, snapshot_of


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_run(tmp_path_factory.mktemp("views"))


@pytest.fixture(scope="module")
def snapshot(place: Place) -> Snapshot:
    return snapshot_of(place)


# The snapshot


def test_a_program_is_in_force_edited_or_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "program.md"
    path.write_text("Lower.\n\n## Role: thrifty\n\nHalve it.\n")
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    words = "".join(text for text, _ in standing(path, {sha}))
    assert words.split() == ["roles:", "thrifty"]
    assert standing(path, set())[0][0].startswith("edited: it takes effect at the next proposal")
    path.write_text("## Role: \x1b[2J\n")
    [(said, style)] = standing(path, {sha})
    assert "the version before stays in force" in said
    assert (style, "\x1b" in said) == ("bad", False)


def test_a_snapshot_knows_the_champion_its_way_and_its_gain(snapshot: Snapshot) -> None:
    best = overview.best(snapshot)
    assert best is not None
    assert (best.row.id, best.row.title, best.row.trials) == (7, "DEPTH 4 -> 5", 2)
    assert best.gain == pytest.approx(2.002 - 1.861)
    assert best.error == pytest.approx(snapshot.noise / 2**0.5)  # type: ignore[operator]
    assert snapshot.path == (0, 1, 4, 7)
    assert [row.status for row in snapshot.rows if row.score is None] == ["crashed"]


def test_a_snapshot_is_named_in_few_words_however_much_is_in_it(snapshot: Snapshot) -> None:
    assert len(repr(snapshot)) < 100  # Textual makes one for each worker that is given it


def test_a_reader_is_lent_again_until_another_copy_is_published(tmp_path: Path) -> None:
    place = make_run(tmp_path)
    lender = Lender(place)
    with lender.lend() as first:
        assert first.query("SELECT count(*) FROM variants").rows == ((8,),)
    with lender.lend() as again:
        assert again is first
    beside = tmp_path / "beside.duckdb"
    shutil.copy(place.archive, beside)
    with duckdb.connect(str(beside)) as connection:
        connection.execute("DELETE FROM champions")
    beside.replace(place.archive)
    with lender.lend() as newer:
        assert newer.query("SELECT count(*) FROM champions").rows == ((0,),)
    lender.close()
    place.archive.unlink()
    with pytest.raises(ArchiveError, match="there is no archive"), lender.lend():
        pass


def test_an_archive_in_which_nothing_has_begun_is_no_snapshot(tmp_path: Path) -> None:
    pulse = look(empty_run(tmp_path), 0.0)
    assert (pulse.beat, pulse.alive, pulse.stamp, pulse.events) == (None, False, None, ())
    assert overview.health(pulse, None).severity is Severity.QUIET


def test_control_codes_and_wide_characters_never_reach_the_screen(tmp_path: Path) -> None:
    place = make_large(tmp_path, 3)
    import duckdb

    with duckdb.connect(str(place.archive)) as connection:
        connection.execute(
            "UPDATE variants SET title = ? WHERE id = 2",
            ["\x1b[2J\x07 wide 漢字 \u202e evil\r\nsecond line"],
        )
    row = snapshot_of(place).row(2)
    assert row is not None
    assert row.title == "·[2J· wide 漢字 · evil second line"


# Health


@pytest.mark.parametrize(
    ("phase", "alive", "words_said", "severity"),
    [
        (Phase.SEARCHING, True, "", Severity.QUIET),
        (Phase.SEARCHING, False, "THE ENGINE IS GONE", Severity.DANGER),
        (Phase.FAILED, False, "THE ENGINE FAILED: no room", Severity.DANGER),
        (Phase.STOPPED, False, "Stopped: no room", Severity.GOOD),
        (Phase.PAUSED, True, "Paused", Severity.WARNING),
        (Phase.FINISHING, True, "Finishing", Severity.WARNING),
    ],
)
def test_health_says_the_worst(
    tmp_path: Path, phase: Phase, *, alive: bool, words_said: str, severity: Severity
) -> None:
    place = empty_run(tmp_path)
    if alive:
        beat(place, phase, message="no room")
    else:
        beat(place, phase, message="no room", pid=0)
    found = overview.health(replace(look(place, 1001.0), free_mb=1e6), None)
    assert found.severity is severity
    assert found.text.startswith(words_said)


@pytest.mark.parametrize(
    ("phase", "alive", "command"),
    [
        (Phase.SEARCHING, False, "`evo run --run night`"),
        (Phase.STOPPED, False, "`evo run --run night`"),
        (Phase.PAUSED, True, "`evo resume --run night`"),
    ],
)
def test_what_health_suggests_names_a_run_that_the_settings_do_not(
    tmp_path: Path, phase: Phase, alive: bool, command: str
) -> None:
    place = empty_run(tmp_path)
    beat(place, phase, pid=os.getpid() if alive else 0)
    pulse = replace(look(place, 1001.0), free_mb=1e6)
    assert command in overview.health(pulse, None, " --run night").text
    assert "--run" not in overview.health(pulse, None).text


def test_a_full_disk_and_a_silent_engine_are_told(tmp_path: Path) -> None:
    place = empty_run(tmp_path)
    beat(place, Phase.SEARCHING)
    pulse = replace(look(place, 1100.0), free_mb=12.0)
    assert "DISK IS NEARLY FULL: 12 MB" in overview.health(pulse, None).text
    assert "silent for 100 s" in overview.health(replace(pulse, free_mb=1e6), None).text
    back = replace(pulse, free_mb=1e6, at=-5000.0)  # a clock that was set back
    assert overview.health(back, None).severity is Severity.QUIET


def test_trials_that_fail_one_after_another_are_told_with_a_cause(snapshot: Snapshot) -> None:
    failed = tuple(replace(point, score=None) for point in snapshot.points)
    assert overview.failures_in_a_row(snapshot) == 0
    sick = replace(snapshot, points=failed)
    assert overview.failures_in_a_row(sick) == len(failed)


# Pace


def test_trials_count_those_of_the_session_where_they_are_limited(tmp_path: Path) -> None:
    place = make_run(tmp_path)
    snapshot = snapshot_of(place)
    limited = beat(place, Phase.SEARCHING, trials_wanted=4, trials_finished=1, trials_scored=0)
    found = overview.pace(look(place, 1001.0), snapshot)
    assert (found.finished, found.scored, found.wanted) == (1, 0, 4)
    for beaten in (replace_struct(limited, trials_wanted=None), replace_struct(limited, pid=0)):
        heartbeat.write(tmp_path / "population" / "main", beaten)
        found = overview.pace(look(place, 1001.0), snapshot)
        assert (found.finished, found.scored, found.wanted) == (10, 9, None)


@pytest.mark.parametrize(("phase", "left"), [(Phase.SEARCHING, 85.0), (Phase.PAUSED, None)])
def test_what_is_paused_stops_at_no_time(tmp_path: Path, phase: Phase, left: float | None) -> None:
    place = make_run(tmp_path)
    beat(place, phase, trials_wanted=4, seconds_left=85.0)
    assert overview.pace(look(place, 1001.0), snapshot_of(place)).left == left


# Running trials


def test_what_broke_before_it_was_tried_stands_with_what_failed(tmp_path: Path) -> None:
    place = make_run(tmp_path)
    with duckdb.connect(str(place.archive)) as connection:
        connection.execute(
            "UPDATE proposals SET outcome = 'preflight_failed', operator = 'human', cause = 'it "
            "ended with exit code 1: ValueError: no' WHERE outcome = 'duplicate'"
        )
    lines = overview.failures(snapshot_of(place), 80)
    texts = ["".join(text for text, _ in line) for line in lines]
    assert [text.split() for text in texts[1:]] == [
        ["v6", "Square", "the", "ReLU", "crashed", "it", "broke:", "shape", "(8,", "4)"],
        ["human", "LR", "0.02", "->", "0.03", "broke", "ValueError:", "no"],
    ]


def test_who_seems_better_than_the_champion_is_named_before_it_leads(snapshot: Snapshot) -> None:
    assert overview.contender(snapshot) is None
    ahead = replace(snapshot.rows[3], score=1.80)
    rows = (*snapshot.rows[:3], ahead, *snapshot.rows[4:])
    found = overview.contender(replace(snapshot, rows=rows))
    assert found is not None
    assert (found.row.id, round(found.gain, 4), round(found.error or 0, 4)) == (3, 0.061, 0.0027)
    assert found.awaited
    banned = (*snapshot.rows[:3], replace(ahead, favour="banned"), *snapshot.rows[4:])
    assert overview.contender(replace(snapshot, rows=banned)) is None


@pytest.mark.parametrize(
    ("noise", "strategy", "kept"),
    [(None, "population", True), (0.1, "population", True), (0.002, "greedy", True),
     (0.002, "population", False)],
)  # fmt: skip
def test_who_may_be_ahead_by_luck_is_named_too(
    snapshot: Snapshot, noise: float | None, strategy: str, kept: bool
) -> None:
    ahead = replace(snapshot.rows[3], score=1.80, kept=kept)
    rows = (*snapshot.rows[:3], ahead, *snapshot.rows[4:])
    facts = replace(snapshot.facts, strategy=strategy)
    found = overview.contender(replace(snapshot, rows=rows, noise=noise, facts=facts))
    assert found is not None
    assert (found.row.id, found.awaited) == (3, False)
    assert (found.error is None) == (noise is None)


@pytest.mark.parametrize("width", [78, 118, 248])
def test_a_running_trial_fills_its_line_and_no_more(width: int) -> None:
    points = [CurvePoint(float(s), s, 4.0 - s / 100, s * 1000, 640.0) for s in range(1, 40)]
    parent = [CurvePoint(float(s), s, 4.0 - s / 200, s * 1000, 640.0) for s in range(1, 40)]
    trial = running_trial()
    for curve in ([], points):
        line = running.line(running.live(trial, curve, parent), width)
        assert cell_len("".join(text for text, _ in line)) == width
    assert "▲0.180 vs parent" in "".join(text for text, _ in line)


@pytest.mark.parametrize("width", [58, 78, 118])
def test_a_trial_whose_budget_is_over_is_being_scored(width: int) -> None:
    points = [CurvePoint(float(s), s, 4.0) for s in range(1, 11)]
    texts = []
    for share, curve in ((0.98, points), (0.992, points), (1.0, points), (1.0, [])):
        line = running.line(running.live(running_trial(share=share), curve, []), width)
        texts.append("".join(text for text, _ in line))
    assert ["scoring" in text for text in texts] == [False, True, True, False]
    assert [("98%" in text, "100%" in text) for text in texts] == [
        (True, False), (False, False), (False, False), (False, True),
    ]  # fmt: skip
    assert len({text.index("loss") for text in texts[:3]}) == 1, "no column moves"
    assert len({cell_len(text) for text in texts}) == 1


def test_a_running_trial_is_compared_with_its_parent_over_the_same_span() -> None:
    parent = [CurvePoint(float(s), 10 * s, 5.0 - s / 10) for s in range(1, 41)]
    curve = [CurvePoint(s / 2, 8 * s, 5.0 - s / 20) for s in range(1, 40)]
    curve.append(CurvePoint(20.0, 320, 3.2, tokens=40_000, memory_mb=700.0))
    shown = running.live(running_trial(), curve, parent)
    assert (shown.steps_per_second, shown.tokens_per_second, shown.memory_mb) == (
        16.0,
        2000.0,
        700.0,
    )
    assert shown.against_parent is not None
    own = [*(5.0 - s / 20 for s in range(33, 40)), 3.2]
    then = [3.3, 3.2, 3.1, 3.0]
    assert shown.against_parent.loss == pytest.approx(sum(own) / 8 - sum(then) / 4)
    assert running.compare(curve, parent[:10]) is None, "the parent had ended"
    assert running.live(running_trial(), [], parent).against_parent is None


@pytest.mark.parametrize(
    ("better_by", "tone"), [(0.02, "dim"), (-0.02, "dim"), (0.2, "good"), (-0.2, "bad")]
)
def test_a_difference_within_the_noise_of_both_has_no_colour(better_by: float, tone: str) -> None:
    noise = [0.1 if s % 2 else -0.1 for s in range(100)]
    parent = [CurvePoint(float(s), s, 3.0 + noise[s]) for s in range(100)]
    curve = [CurvePoint(float(s), s, 3.0 - better_by - noise[s]) for s in range(80)]
    found = running.compare(curve, parent)
    assert found is not None
    assert found.tone == tone
    assert running.Difference(better_by, None).tone == "dim"
    diverged = [CurvePoint(float(s), s, 1.7e308) for s in range(80)]
    assert running.compare(diverged, parent) is None


def test_a_pulse_has_live_curves_and_what_waits_in_the_inbox(tmp_path: Path) -> None:
    place = empty_run(tmp_path)
    assert place.folder is not None
    (place.folder / "trials" / "10").mkdir(parents=True)
    curves.append(place.folder, 10, CurvePoint(1.0, 1, 3.0))
    beat(place, Phase.SEARCHING, running=(running_trial(),))
    inbox.ask(place.folder, Verb.HINT, text="warm up")
    pulse = look(place, 1001.0)
    assert pulse.live == {10: (CurvePoint(1.0, 1, 3.0),)}
    assert [request.verb for request in pulse.pending] == [Verb.HINT]
    assert heartbeat.alive(pulse.beat)


def test_the_progress_plot_has_every_score_and_the_champions_as_a_line(snapshot: Snapshot) -> None:
    ignored, line, kept = overview.progress(snapshot, few=False)
    assert len(ignored.x) + len(kept.x) == 9
    assert line.steps
    assert list(line.y) == [2.0, 1.861, 1.861]
    assert line.x[-1] == len(snapshot.points)


# The tree


@pytest.mark.parametrize("said", [1.7e308, math.inf, math.nan])
def test_what_is_too_large_to_be_drawn_is_left_out(said: float) -> None:
    values = [1.0, said, -said, 2.0, said]
    assert plotting.sparkline(values, 8) == plotting.sparkline([1.0, 2.0], 8)
    assert plotting.sparkline([said], 8) == ""
    layers = [plotting.Layer(range(5), values, "bad")]
    frame = plotting.frame(layers)
    assert frame is not None
    assert frame.top - frame.bottom < 2
    assert len(plotting.draw(layers, frame, 10, 3)) == 3


@pytest.mark.parametrize("direction", Direction)
def test_the_worst_are_drawn_at_the_edge_and_the_best_never(direction: Direction) -> None:
    losses = [1.0, *(2.0 + n / 100 for n in range(18)), 50.0]
    layers = [plotting.Layer(range(20), [direction.loss(one) for one in losses], "kept")]
    frame = plotting.frame(layers, direction=direction)
    assert frame is not None
    best, worst = direction.loss(1.0), direction.loss(50.0)
    assert frame.bottom < best < frame.top
    assert not frame.bottom < worst < frame.top
    assert frame.top - frame.bottom < 2
    everything = plotting.frame(layers, keep=1.0, direction=direction)
    assert everything is not None
    assert everything.bottom < worst < everything.top


def test_a_tree_shows_the_champions_way_first_and_a_second_parent_as_a_mark(
    snapshot: Snapshot,
) -> None:
    family = Family(snapshot)
    lines = family.lines()
    assert [line.row.id for line in lines if line.under is None] == [0, 1, 4, 7, 3, 5, 6, 2]
    text = ["".join(part for part, _ in pieces(line, family, 60, None)) for line in lines]
    assert all(len(line) == 60 for line in text)
    assert "×v2" in text[2]
    assert text[3].startswith("│ │ ╰─★ v7")
    assert "crashed" in text[6]
    assert (lines[8].row.id, lines[8].under, lines[8].children) == (4, 2, 0)
    assert text[8].startswith("  ╰─→ v4 ")
    assert family.children(2) == (4,)


@pytest.mark.parametrize("width", [40, 60, 76, 120, 250])
def test_however_deep_a_variant_is_its_line_has_its_name_and_its_numbers(
    snapshot: Snapshot, width: int
) -> None:
    template = snapshot.rows[1]
    rows = [replace(template, id=n, parents=(n - 1,) if n else ()) for n in range(300)]
    index = {row.id: row.id for row in rows}
    family = Family(replace(snapshot, rows=tuple(rows), path=(0,), _index=index))
    for line in family.lines():
        drawn = "".join(text for text, _ in pieces(line, family, width, 0.01))
        assert cell_len(drawn) == width
        assert f"v{line.row.id} " in drawn
        assert drawn.endswith(f"{template.score:.4f}")
    assert "‹" in drawn


def test_a_fold_hides_descendants_and_counts_them(snapshot: Snapshot) -> None:
    lines = Family(snapshot).lines(folded={1})
    assert [line.row.id for line in lines] == [0, 1, 2, 4]
    assert (lines[1].folded, lines[1].hidden) == (True, 5)


def test_a_filter_shows_matches_with_their_ancestors_and_opens_folds(snapshot: Snapshot) -> None:
    lines = Family(snapshot).lines(folded={0}, query="op:ablate")
    assert [(line.row.id, line.dimmed) for line in lines] == [
        (0, True), (1, True), (3, True), (5, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("", {0, 1, 2, 3, 4, 5, 6, 7}),
        ("warmup", {2, 4}),
        ("WARMUP -op:crossover", {2}),
        ("status:crashed", {6}),
        ("effect<-0.05", {1}),
        ("score>=1.96", {0, 2, 5}),
        ("trials=2 kept:true", {0, 7}),
        ("v3", {3}),
        ("operator!=tune operator!=founder", {0, 4, 5}),
    ],
)
def test_a_filter_is_words_names_and_numbers(
    snapshot: Snapshot, query: str, matches: set[int]
) -> None:
    lines = Family(snapshot).lines(query=query)
    assert {line.row.id for line in lines if not line.dimmed} == matches


@pytest.mark.parametrize("query", ["colour:red", "score<cheap", "t:x"])
def test_a_filter_that_makes_no_sense_says_why(query: str) -> None:
    with pytest.raises(FilterError):
        parse(query, ("title", "trials", "score"), ("title",))
    with pytest.raises(FilterError, match="there is no column foo; there are title, score"):
        parse("foo:1", ("title", "score"), ("title",))


@pytest.mark.parametrize("count", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_great_many_variants_are_a_tree_of_which_little_is_open(
    tmp_path: Path, count: int
) -> None:
    snapshot = snapshot_of(make_large(tmp_path, count))
    assert len(snapshot.rows) == count
    family = Family(snapshot)
    lines = family.lines(family.first_folds())
    assert len(lines) < 60
    assert sum(line.hidden + 1 for line in lines if line.under is None) == count
    assert len(family.lines(query=f"v{count - 1}")) == len(snapshot.path)


# One variant


def test_a_variants_page_has_its_diff_trials_relatives_and_log(
    place: Place, snapshot: Snapshot
) -> None:
    log = place.log_of(8)
    assert log is not None
    log.parent.mkdir(parents=True)
    log.write_text("step 1\x1b[31m\nstep 2\n")
    with Reader.open(place.archive) as reader:
        detail = variant.read(reader, snapshot, place, 7)
        assert variant.read(reader, snapshot, place, 99) is None
    assert detail is not None
    page = variant.page(detail, snapshot, (), 60)
    text = ["".join(part for part, _ in line) for line in page.lines]
    assert text[0] == "★ v7  DEPTH 4 -> 5"
    assert text[page.sections["diff"] + 2 :][:2] == ["--- a/train.py", "+++ b/train.py"]
    assert "step 1·[31m" in text
    assert any("v4" in line and "parent" in line for line in text)
    assert sum("812 MB" in line for line in text) == 2


def test_a_diff_of_five_thousand_lines_is_as_many_lines(place: Place, snapshot: Snapshot) -> None:
    with Reader.open(place.archive) as reader:
        detail = variant.read(reader, snapshot, place, 7)
    assert detail is not None
    long = replace(detail, diff=tuple(f"+x = {n}" for n in range(5_000)))
    page = variant.page(long, snapshot, (), 60)
    assert page.sections["log"] - page.sections["diff"] == 5_002


def test_wide_characters_push_no_number_out_of_the_tree(snapshot: Snapshot) -> None:
    titles = ("深層学習の層を増やす" * 9, "深" * 3, "層x" * 30)
    rows = [replace(row, title=titles[row.id % 3]) for row in snapshot.rows]
    family = Family(replace(snapshot, rows=tuple(rows)))
    for width in (40, 41, 80, 250):
        for line in family.lines():
            drawn = "".join(text for text, _ in pieces(line, family, width, 0.01))
            assert cell_len(drawn) == width
    assert all(cell_len(line) <= 40 for line in variant.wrap(titles[0], 40))


def test_the_gain_of_a_day_is_over_who_led_then(snapshot: Snapshot) -> None:
    baseline, champion = (one.at.replace(tzinfo=UTC).timestamp() for one in snapshot.promotions)
    assert overview.gain_since(snapshot, 60.0, champion + 1) == pytest.approx(0.141)
    assert overview.gain_since(snapshot, 60.0, champion + 600) == 0.0
    assert overview.gain_since(snapshot, 60.0, baseline) is None
    assert overview.gain_since(snapshot, 60.0, 0.0) is None, "a clock that is years behind"


# The waterfall


def test_every_bar_of_the_waterfall_begins_in_its_column(place: Place, snapshot: Snapshot) -> None:
    noisy = replace(snapshot, noise=0.1)
    with Reader.open(place.archive) as reader:
        falls = ablation.waterfall(reader, noisy)
    verdicts = [ablation.pieces(fall, falls, 120)[4][0] for fall in falls]
    assert "may be chance, most " in verdicts
    assert len({len(verdict) for verdict in verdicts}) == 1


def test_the_waterfall_adds_up_and_says_how_surely(place: Place, snapshot: Snapshot) -> None:
    with Reader.open(place.archive) as reader:
        falls = ablation.waterfall(reader, snapshot)
    assert [fall.row.id for fall in falls] == [0, 1, 4, 7]
    gains = [fall.gain for fall in falls if fall.gain is not None]
    assert sum(gains) == pytest.approx(falls[-1].total)
    assert [fall.verdict for fall in falls] == ["unknown", "clear", "clear", "clear"]
    assert falls[1].without == pytest.approx(0.07)  # 5 is 3 without what 1 had brought
    text = "".join(part for part, _ in ablation.pieces(falls[1], falls, 100))
    assert "█" in text


# Words


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (words.ago(7), "7 s"), (words.ago(200), "3 min"), (words.ago(3 * 3600), "3 h"),
        (words.ago(5 * 86400), "5 d"), (words.ago(-100), "0 s"), (words.short(873), "873"),
        (words.short(12_345), "12.3k"), (words.short(4_500_000), "4.5M"), (words.short(None), "–"),
        (words.megabytes(812.0), "812 MB"), (words.megabytes(2048), "2.0 GB"),
        (words.money(3.5), "$3.50"), (words.effect(-0.5), "-0.5000"),
    ],
)  # fmt: skip
def test_numbers_are_short_and_have_units(said: str, text: str) -> None:
    assert said == text
