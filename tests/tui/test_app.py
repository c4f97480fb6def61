"""The app, driven by keys over real files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest
from msgspec.structs import replace as replace_struct

from evo.archive.archive import Archive
from evo.archive.publication import publish
from evo.engine import curves, inbox
from evo.engine.heartbeat import Phase
from evo.engine.inbox import Request, Verb
from evo.nouns import CurvePoint, Favour, Wish
from evo.tui.dialogs import LeaveHow
from evo.tui.panes.ask import Question
from evo.tui.tree import Tree
from evo.tui.views.place import Place
from evo.tui.views.state import State
from tests.archive.records import NOW as BEGUN
from tests.tui.pilots import Driver, drive
from tests.tui.runs import beat, empty_run, make_large, make_run, running_trial


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run that is over; nobody changes its files."""
    return make_run(tmp_path_factory.mktemp("over"))


@pytest.fixture
def alive(tmp_path: Path) -> Place:
    """A run at work, with one trial that runs."""
    place = make_run(tmp_path)
    assert place.folder is not None
    (place.folder / "trials" / "10").mkdir(parents=True)
    for second in range(1, 5):
        point = CurvePoint(float(second), second * 6, 3.9 - 0.1 * second, second * 12_000, 640.0)
        curves.append(place.folder, 10, point)
    beat(place, Phase.SEARCHING, running=(running_trial(),), trials_wanted=40, seconds_left=900.0)
    return place


def asked(place: Place) -> list[tuple[str, dict[str, str]]]:
    """What lies in the inbox."""
    assert place.folder is not None
    found = [request for _, request in inbox.take(place.folder) if request is not None]
    return [(str(request.verb), request.arguments) for request in found]


def told(driver: Driver) -> str:
    """All notices that are on the screen."""
    return " ".join(one.message for one in driver.app._notifications)


# The overview


def test_the_first_look_says_what_is_best_and_by_how_much(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.see("1.8610 ± 0.0016")
        await driver.see("▲ 0.1410 ± 0.0022 (7.0%)")
        await driver.see("Stopped: all trials are done")

    drive(over, script)


def test_a_running_trial_stands_beside_its_parent(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.see("Running 1 of 2 slots on cpu, 1 queued")
        await driver.see("loss 3.500  ▲0.020 vs parent")  # 4 began at 3.92, 7 at 3.9
        await driver.see("12.0k tok/s")
        await driver.see("busy 97%")
        await driver.see("stops in 15:00")

    drive(alive, script)


def test_a_limit_stands_beside_what_is_spent_and_a_replicate_is_called_one(alive: Place) -> None:
    again = replace_struct(running_trial(), again=True)
    beat(alive, Phase.SEARCHING, running=(again,), spent_usd=1.25, limit_usd=5.0)

    async def script(driver: Driver) -> None:
        await driver.see("spent $1.25 of $5.00")
        await driver.see("v7       again: DEPTH 4 -> 5")

    drive(alive, script)


def test_on_a_narrow_screen_keys_are_left_out_whole_and_the_phase_is_seen(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.goto("lineage")
        first, *_, last = driver.text().splitlines()
        assert first.split() == ["main", "1", "2", "Lineage", "3", "4", "5", "6", "●", "searching"]
        assert last.startswith(" ⏎ Read  space Fold  s Steer  ? Help  q Leave ")
        await driver.pilot.resize_terminal(80, 24)
        await driver.see("/ Filter  s Steer  ? Help  q Leave")
        await driver.see("5 Ask 6 Program      ● searching")

    drive(alive, script, size=(60, 16))


def test_an_archive_without_a_log_tells_what_happened_last(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.see("▲0.1410 in 9 min, since it began   v7 DEPTH 4 -> 5")
        await driver.see("champion variant 7 leads with 1.8610")
        await driver.see("request  hint by ada: the operators are told")

    drive(Place(over.name, over.archive_folder), script, size=(250, 70))


def test_a_step_of_the_cursor_draws_two_rows_and_no_more(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("2", "g")
        tree = driver.app.screen.query_one(Tree)
        tree._dirty_regions.clear()
        tree.cursor += 1
        assert sum(region.height for region in tree._dirty_regions) == 2

    drive(over, script)


def test_whoever_seems_better_than_the_champion_is_told_of(over: Place, tmp_path: Path) -> None:
    archive = tmp_path / "archive.duckdb"
    shutil.copy(over.archive, archive)
    with duckdb.connect(str(archive)) as connection:
        connection.execute("DELETE FROM champions WHERE variant = 7")

    async def script(driver: Driver) -> None:
        await driver.see("no gain yet: the baseline leads")
        await driver.see("v7 seems ▲0.1410 ± 0.0022 better still, measured 2 times: it leads once")
        assert "since it began" not in driver.text()

    drive(Place("main", tmp_path), script)


def test_whoever_is_ahead_before_anything_was_measured_twice_is_named(
    over: Place, tmp_path: Path
) -> None:
    archive = tmp_path / "archive.duckdb"
    shutil.copy(over.archive, archive)
    with duckdb.connect(str(archive)) as connection:
        connection.execute("DELETE FROM champions WHERE variant = 7")
        connection.execute("DELETE FROM trials WHERE purpose = 'replicate'")

    async def script(driver: Driver) -> None:
        await driver.see("no gain yet: the baseline leads")
        await driver.see("v7 scored 1.8600 (1 trial), which may still be luck")

    drive(Place(over.name, tmp_path), script, size=(80, 24))


def test_what_is_cut_at_the_edge_says_so(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("3")
        await driver.see("Without: untie the embedding fro…")

    drive(over, script, size=(80, 24))


def test_on_a_narrow_screen_what_there_is_to_ask_gives_way_to_the_answer(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.goto("ask")
        await driver.see("Why the last ones failed")
        await driver.press("enter")
        await driver.see("5 rows in")
        await driver.see("crossover")
        assert "What there is to ask" not in driver.text()
        await driver.press("i")
        await driver.see("What there is to ask")

    drive(over, script, size=(80, 24))


def test_the_menu_says_what_a_choice_means(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("s")
        await driver.see("Start no new trial; those that run go on: evo pause")
        await driver.press(*"jjjjj")
        await driver.see("Keep the selected variant among the parents: evo pin")

    drive(alive, script, size=(80, 24))


def test_what_the_screens_suggest_names_a_run_that_the_settings_do_not(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("s")
        await driver.see("Start no new trial; those that run go on: evo pause --run night")
        await driver.press("escape")
        beat(alive, Phase.SEARCHING, pid=0)
        await driver.see("`evo run --run night` goes on. Its last words")
        await driver.press("P")
        *_, told = driver.app._notifications
        assert "`evo run --run night` goes on with it" in told.message

    drive(replace(alive, flag=" --run night"), script)


def test_a_crossover_is_reached_from_its_second_parent(over: Place) -> None:
    async def script(driver: Driver) -> None:
        screen = driver.app._run_screen()
        assert screen is not None
        await driver.press("2", "G")
        await driver.see("╰─→ v4")
        await driver.press("left")
        assert screen.selected() == 2
        await driver.press("G", "enter")
        assert screen.selected() == 4
        await driver.press("down")
        assert screen.selected() == 7

    drive(over, script)


def test_an_engine_that_dies_leaves_a_banner_and_its_last_words(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.see("● searching")
        beat(alive, Phase.SEARCHING, pid=0)
        await driver.see("THE ENGINE IS GONE")
        await driver.see("champion variant 7 leads")
        await driver.see("✗ gone")

    drive(alive, script)


def test_a_run_without_anything_says_so(tmp_path: Path) -> None:
    async def script(driver: Driver) -> None:
        await driver.see("Nothing is published yet")
        for name in ("lineage", "table", "ablation", "ask", "program", "overview"):
            await driver.goto(name)
        await driver.see("Nothing is published yet; `evo run --run night` starts a search.")

    drive(replace(empty_run(tmp_path), flag=" --run night"), script)


def test_one_variant_is_enough_for_every_screen(tmp_path: Path) -> None:
    place = make_large(tmp_path, 1)

    async def script(driver: Driver) -> None:
        for name in ("lineage", "table", "ablation", "ask", "program", "overview"):
            await driver.goto(name)
        await driver.see("no gain yet")

    drive(place, script)


def test_a_damaged_archive_is_a_banner_and_its_successor_is_read(
    over: Place, tmp_path: Path
) -> None:
    place = empty_run(tmp_path)
    place.archive_folder.mkdir(parents=True)
    place.archive.write_bytes(over.archive.read_bytes()[:9000])

    async def script(driver: Driver) -> None:
        await driver.see("can't be read")
        beside = place.archive.with_name("beside")
        shutil.copyfile(over.archive, beside)
        beside.replace(place.archive)
        await driver.see("DEPTH 4 -> 5")

    drive(place, script)


# News


def publish_again(place: Place) -> None:
    """The run goes on: 3 becomes champion."""
    assert place.folder is not None
    archive = Archive.open(place.folder / "run.duckdb")
    from evo.nouns import Estimate

    archive.record_champion(3, Estimate(1.8, 0.001, 2), BEGUN + timedelta(minutes=20))
    publish(archive, place.archive)
    archive.close()


def test_another_copy_of_the_archive_is_shown_and_a_new_champion_told(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.see("v7 DEPTH")
        publish_again(alive)
        await driver.see("New champion v3")
        await driver.see("v3 LR 0.02 -> 0.03")

    drive(alive, script)


def test_the_cursor_stays_on_its_variant_when_another_copy_comes(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("2", "g", "j")
        screen = driver.app._run_screen()
        assert screen is not None
        before = screen.selected()
        publish_again(alive)
        await driver.see("New champion v3")
        assert screen.selected() == before == 1

    drive(alive, script)


# The lineage


def test_one_walks_the_tree_with_vim_keys_and_reads_a_variant(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("2")
        await driver.see("★ v7  DEPTH 4 -> 5")  # begins at the champion
        await driver.press("g", "j", "j", "j", "j")
        await driver.see("LR 0.02 -> 0.03")
        await driver.see("tune of v1")
        await driver.press("c", "enter", "n", "n", "n")
        await driver.see('+COOLDOWN = "linear"')

    drive(over, script)


def test_a_fold_a_filter_and_nonsense_in_it(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("2", "g", "j", "space")
        await driver.see("▸")
        await driver.see("3 in sight")
        await driver.press("slash")
        await driver.type("op:ablate")
        await driver.see("v5 Without")
        assert driver.app._run_screen().selected() == 5  # type: ignore[union-attr]
        await driver.type(" x<y")
        await driver.see("there is no column x")
        await driver.press("escape")
        await driver.see("v2 WARMUP")

    drive(over, script)


def test_ten_thousand_variants_are_walked_from_end_to_end(tmp_path: Path) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("2", "z", "G")
        screen = driver.app._run_screen()
        assert screen is not None
        await driver.press("z")
        assert screen.selected() is not None
        await driver.press("G", "g", "pagedown", "pagedown")
        await driver.see("10,000 variants")

    drive(make_large(tmp_path, 10_000), script)


# The table


def test_a_table_is_sorted_filtered_narrowed_and_exported(over: Place, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"

    async def script(driver: Driver) -> None:
        await driver.press("3")
        await driver.see("8 variants")
        await driver.press("o", "o")  # by variant, then by score
        await driver.see("score ▲")
        await driver.press("slash")
        await driver.type("score<1.9")
        await driver.see("2 of 8 variants")
        await driver.press("enter", "e")
        driver.app.screen.query_one("Input").value = str(out)  # type: ignore[attr-defined]
        await driver.press("enter")
        await driver.see("2 rows are in")
        await driver.press("v")
        await driver.see("trials")

    app = drive(over, script)
    lines = out.read_text().splitlines()
    assert lines[0] == "variant,score,effect,trials,operator,title,parents"
    assert [line.split(",")[0] for line in lines[1:]] == ["7", "4"]
    assert app.state.sort["variants"] == ("score", False)


def test_an_export_overwrites_nothing(over: Place, tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    out.write_text("mine")

    async def script(driver: Driver) -> None:
        await driver.press("3", "e")
        driver.app.screen.query_one("Input").value = str(out)  # type: ignore[attr-defined]
        await driver.press("enter")
        await driver.until(lambda: "overwrites nothing" in told(driver), "it is refused")

    drive(over, script)
    assert out.read_text() == "mine"


# Ask


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select variant from champion_path", "4 rows"),
        ("select variant from champoin_path", "There is: "),
        ("delete from trials", "can only be read"),
        ("create table x (y int)", "can only be read"),
        ("selec 1", "syntax error"),
        ("select * from range(1000000)", "20,000 rows (the first; use LIMIT)"),
    ],
)
def test_a_question_is_answered_or_refused_in_one_line(over: Place, sql: str, said: str) -> None:
    async def script(driver: Driver) -> None:
        await driver.goto("ask")
        driver.app.screen.query_one("#question").text = sql  # type: ignore[attr-defined]
        await driver.press("enter")
        await driver.see(said)

    app = drive(over, script)
    assert app.state.questions == [sql]


def test_an_endless_question_is_broken_off_while_the_archive_is_replaced(alive: Place) -> None:
    endless = "select sum(a.range * b.range) from range(10000000) a, range(10000000) b"

    async def script(driver: Driver) -> None:
        await driver.goto("ask")
        question = driver.app.screen.query_one("#question")
        question.text = endless  # type: ignore[attr-defined]
        await driver.pilot.press("enter")
        await driver.see("escape breaks it off")
        publish_again(alive)
        await driver.see("New champion v3")  # the screen isn't held up
        await driver.pilot.press("escape")
        await driver.see("broken off")
        question.text = "select variant from champion_path"  # type: ignore[attr-defined]
        await driver.press("enter")
        await driver.see("3 rows")  # of the archive that is there now

    drive(alive, script)


def test_tab_completes_and_up_recalls(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.goto("ask")
        question = driver.app.screen.query_one("#question")
        question.text = ""  # type: ignore[attr-defined]
        await driver.type("from champion_p")
        await driver.see("champion_path")
        await driver.press("tab", "enter")
        await driver.see("4 rows")
        question.text = ""  # type: ignore[attr-defined]
        await driver.press("i", "up")
        assert question.text == "from champion_path"  # type: ignore[attr-defined]

    drive(over, script)


@pytest.mark.parametrize(
    ("asked_before", "keys", "turns"),
    [
        ([], "6", True),
        (["from noise"], "6", True),
        (["from trials limit 2"], "6", False),
        ([], "x6", False),
        (["from noise"], ["left", "6"], False),
        (["from noise"], ["enter", "i", "6"], False),
        (["from noise"], ["ctrl+u", "6"], True),
    ],
)
def test_a_number_turns_to_its_screen_until_somebody_writes(
    over: Place, asked_before: list[str], keys: Sequence[str], turns: bool
) -> None:
    async def script(driver: Driver) -> None:
        await driver.goto("ask")
        question = driver.app.screen.query_one("#question", Question)
        before = question.text
        for key in keys:
            await driver.press(key)
        screen = driver.app._run_screen()
        assert screen is not None
        assert screen.current == ("program" if turns else "ask")
        assert ("6" in question.text) == (not turns and "6" in keys)
        assert len(question.text) <= len(before) + len(keys)

    drive(over, script, state=State(questions=asked_before))


def test_an_answer_is_drawn(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.goto("ask")
        driver.app.screen.query_one("#question").text = "select variant, score from lineage"  # type: ignore[attr-defined]
        await driver.press("enter")
        await driver.see("8 rows")
        await driver.press("p")
        await driver.see("● score")
        await driver.see("over variant")

    drive(over, script)


# Steering


def test_a_pause_is_shown_as_pending_until_the_engine_has_answered(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("P")
        await driver.see("⧗ pause")
        await driver.see("not taken yet")
        assert asked(alive) == [("pause", {})]
        assert alive.folder is not None
        [path] = (alive.folder / "inbox").glob("*.json")
        request = msgspec.json.decode(path.read_bytes(), type=Request)
        path.unlink()
        archive = Archive.open(alive.folder / "run.duckdb")
        archive.record_request(
            id=request.id, verb="pause", arguments={}, who="ada",
            asked_at=BEGUN, done_at=BEGUN + timedelta(hours=1), outcome="paused",
        )  # fmt: skip
        publish(archive, alive.archive)
        archive.close()
        await driver.see("✓ pause")
        assert "not taken yet" not in driver.text()

    drive(alive, script)


def test_the_menu_offers_what_can_be_done_to_the_variant_and_the_running_trial(
    alive: Place,
) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("2", "s")
        for words in ("Replicate v7 DEPTH", "Kill trial 10, v7", "Prune trial 10", "Budget"):
            await driver.see(words)
        await driver.press("j", "j", "j", "enter")

    drive(alive, script)
    assert asked(alive) == [("replicate", {"variant": "7"})]


def test_a_variant_is_pinned_by_a_key_and_unpinned_by_the_same_once_the_engine_has_done_it(
    alive: Place,
) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("2", "plus")
        await driver.see("⧗1")
        assert alive.folder is not None
        [path] = (alive.folder / "inbox").glob("*.json")
        path.unlink()
        archive = Archive.open(alive.folder / "run.duckdb")
        archive.record_wish(Wish(7, Favour.PINNED), "ada", BEGUN)
        publish(archive, alive.archive)
        archive.close()
        await driver.see("pinned by people")
        await driver.press("plus", "minus")

    drive(alive, script)
    assert asked(alive) == [("pin", {"variant": "7", "off": "yes"}), ("ban", {"variant": "7"})]


def test_a_hint_is_written_in_a_line(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.press("H")
        await driver.type("warm up")
        await driver.press("enter")
        await driver.see("⧗ hint warm up")

    drive(alive, script)
    assert asked(alive) == [("hint", {"text": "warm up"})]


def test_an_archive_from_elsewhere_can_be_read_and_not_steered(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.see("○ archive")
        await driver.press("P")
        await driver.see("no engine works on this run")
        await driver.press("H")
        await driver.type("x")
        await driver.press("enter")
        await driver.see("can't be steered")

    drive(replace(over, folder=None, program=None), script)


# Leaving


@pytest.mark.parametrize(
    ("key", "how", "request_made"),
    [
        ("d", LeaveHow.DETACH, []),
        ("f", LeaveHow.FINISH, [("stop", {"how": "finish"})]),
        ("n", LeaveHow.NOW, [("stop", {"how": "now"})]),
    ],
)
def test_leaving_an_engine_at_work_asks_what_is_to_become_of_it(
    alive: Place, key: str, how: LeaveHow, request_made: list[object]
) -> None:
    async def script(driver: Driver) -> None:
        await driver.pilot.press("ctrl+c")
        await driver.see("The engine works on. Leave it so?")
        await driver.pilot.press("escape")
        await driver.pilot.pause()
        await driver.pilot.press("q")
        await driver.see("The engine works on. Leave it so?")
        await driver.pilot.press(key)
        await driver.until(lambda: not driver.app.is_running or driver.app._exit, "it is left")

    app = drive(alive, script)
    assert app.return_value is how
    assert asked(alive) == request_made


def test_an_engine_that_ends_while_one_is_asked_how_to_leave_is_told_and_not_stopped_again(
    alive: Place,
) -> None:
    async def script(driver: Driver) -> None:
        await driver.pilot.press("q")
        await driver.see("The engine works on. Leave it so?")
        beat(alive, Phase.STOPPED, message="all trials are done")
        await driver.see("The engine has ended meanwhile: all trials are done.")
        assert "Stop now" not in driver.text()
        await driver.pilot.press("n")
        await driver.until(lambda: not driver.app.is_running or driver.app._exit, "it is left")

    app = drive(alive, script)
    assert app.return_value is LeaveHow.DETACH
    assert asked(alive) == []


def test_an_engine_that_ended_since_the_last_look_is_not_asked_to_stop(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.pilot.press("q")
        await driver.see("The engine works on. Leave it so?")
        driver.app.workers.cancel_group(driver.app, "watch")
        beat(alive, Phase.FAILED, message="the disk is full")
        await driver.pilot.press("f")
        await driver.until(lambda: not driver.app.is_running or driver.app._exit, "it is left")

    app = drive(alive, script)
    assert app.return_value is LeaveHow.DETACH
    assert asked(alive) == []


def test_what_a_person_left_is_found_again(over: Place, tmp_path: Path) -> None:
    path = tmp_path / "state" / "tui.json"

    async def first(driver: Driver) -> None:
        await driver.press("2", "slash")
        await driver.type("tune")
        await driver.press("enter", "ctrl+t", "q")

    drive(over, first, state=State.load(path))
    kept = State.load(path)
    assert (kept.screen, kept.theme) == ("lineage", "evo-light")
    assert kept.filter_of(over.archive, "lineage") == "tune"
    assert kept.filter_of(tmp_path / "another.duckdb", "lineage") == ""

    async def second(driver: Driver) -> None:
        await driver.see("in sight")

    drive(over, second, state=kept)


def test_a_state_that_makes_no_sense_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "tui.json"
    path.write_text('{"screen": 7')
    assert State.load(path).screen == "overview"
    State.load(tmp_path / "none" / "tui.json").save()
    assert (tmp_path / "none" / "tui.json").exists()


# Room and colours


def test_a_terminal_that_is_too_small_is_told_what_is_needed(over: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.see("evo needs 60×16")
        await driver.see("here are 40×10")
        await driver.pilot.resize_terminal(80, 24)
        await driver.see("1.8610")

    drive(over, script, size=(40, 10))


@pytest.mark.parametrize("name", [pytest.param("evo-light", marks=pytest.mark.slow), "ansi-dark"])
def test_every_theme_draws_every_screen(over: Place, name: str) -> None:
    async def script(driver: Driver) -> None:
        for pane in ("lineage", "table", "ablation", "ask", "program", "overview"):
            await driver.goto(pane)
        await driver.press("question_mark")
        await driver.see("Everything by name")

    app = drive(over, script, state=State(theme=name))
    assert app.theme == name


def test_without_colours_the_sixteen_are_no_choice(
    over: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(driver: Driver) -> None:
        for wanted in ("evo-dark", "evo-light", "evo-dark"):
            assert driver.app.theme == wanted
            await driver.press("ctrl+t")

    drive(over, script, state=State(theme="ansi-dark"))


def test_what_is_kept_is_kept_while_it_is_shown(
    over: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evo.tui.app.KEEP_SECONDS", 0.05)
    path = tmp_path / "tui.json"

    async def script(driver: Driver) -> None:
        await driver.press("3")
        await driver.until(lambda: State.load(path).screen == "table", "it is kept")

    drive(over, script, state=State.load(path))


def test_the_menu_is_about_the_champion_where_nothing_else_is_selected(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        driver.app.start(Verb.REPLICATE)
        await driver.see("Replicate v7")
        assert "Hint:" not in driver.text()

    drive(alive, script)


def test_stopping_now_is_asked_once_more(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        for answer in "ny":
            assert asked(alive) == []
            driver.app.start(Verb.STOP)
            await driver.see("Stop now")
            await driver.press("end", "enter")
            await driver.see("What the running trials have done")
            await driver.press(answer)
        await driver.until(lambda: asked(alive) == [("stop", {"how": "now"})], "it is asked")

    drive(alive, script)


def test_the_palette_has_every_action(alive: Place) -> None:
    async def script(driver: Driver) -> None:
        await driver.goto("lineage")
        titles = [one.title for one in driver.app.get_system_commands(driver.app.screen)]
        for wanted in ("Go to Table", "Pause", "Hint", "Replicate a variant", "Stop", "Leave"):
            assert wanted in titles
        assert {"Filter", "Fold", "Champion"} <= set(titles), "what this place can do"
        assert "Quit" not in titles, "it would leave without asking"
        assert {Verb.PAUSE, Verb.SLOTS} <= set(Verb)

    drive(alive, script)
