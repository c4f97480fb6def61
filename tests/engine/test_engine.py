"""The engine: a whole search with a real archive, a real repository and real processes."""

import itertools
import json
import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evo.archive.archive import Archive
from evo.config import load
from evo.engine import heartbeat, inbox
from evo.engine.assembly import assemble
from evo.engine.engine import Engine
from evo.engine.heartbeat import Phase
from evo.engine.inbox import Verb
from evo.errors import ArchiveError, EvoError, PopulationError, SettingsError
from evo.nouns import Brief, Proposal, Standing, Trial, Variant, Wish
from evo.operators.founding import Founder
from evo.operators.operator import Shelf
from evo.patch import diff
from evo.search.bandit import Arm
from evo.search.evolution import Evolution
from evo.search.rivals import STRATEGIES
from tests.projects import SCRIPT, assembled, git, make_project, rows, wait_until

BEST = SCRIPT.replace("KNOB = 1.0", "KNOB = 3.0").replace("{seconds}", "0.0")
PROPOSALS = "SELECT operator, parents, subject, title, outcome FROM proposals ORDER BY id"
FIXED = 'import os\nprint("score:", 1 + len(os.environ["EVO_SEED"]) * 0)\n'
"""Nothing in it can be tuned, and it has no founder."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a search of forty trials that is over."""
    project = make_project(tmp_path_factory.mktemp("finished"), slots=2)
    assert assembled(project, trials=40).run() is Phase.STOPPED
    return project


@contextmanager
def running(project: Path, **overrides: object) -> Iterator[threading.Thread]:
    """An engine at work on a thread; whoever leaves has asked it to stop, or waits for its end."""
    thread = threading.Thread(target=lambda: assembled(project, **overrides).run())
    thread.start()
    try:
        wait_until(lambda: phase(project) is Phase.SEARCHING, "it searches")
        yield thread
        thread.join(60)
        assert not thread.is_alive()
    finally:
        if thread.is_alive():
            inbox.ask(project / "population" / "main", Verb.STOP, how="now")
        thread.join()


def phase(project: Path) -> Phase | None:
    beat = heartbeat.read(project / "population" / "main")
    return beat.phase if beat else None


def finished_trials(project: Path) -> int:
    beat = heartbeat.read(project / "population" / "main")
    return beat.trials_finished if beat else 0


# A whole search


def test_the_baseline_comes_first_then_founders_then_their_children(finished: Path) -> None:
    operators = [row[0] for row in rows(finished, "SELECT operator FROM proposals ORDER BY id")]
    assert operators[:3] == ["baseline", "founder", "founder"]
    assert "tune" in operators
    assert rows(finished, "SELECT variant FROM trials ORDER BY started_at LIMIT 1") == [(0,)]


class Crossing(Evolution):
    """Waits for its founders and crosses them, before a graft comes to the same script."""

    def _breed(self, chance: random.Random) -> tuple[Arm, tuple[int, ...], str] | None:
        if self._ledger.has_begun("crossover"):
            return super()._breed(chance)
        pairs = (pair for pair in itertools.combinations(self._living, 2) if self._can_cross(*pair))
        return next(((Arm("crossover"), pair, "") for pair in pairs), None)


def test_a_crossover_is_a_merge_commit_of_its_two_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STRATEGIES, "population", Crossing)
    project = make_project(tmp_path)
    assembled(project, trials=12).run()
    commits = dict(rows(project, "SELECT id, commit FROM variants"))
    crossovers = rows(
        project,
        "SELECT p.variant, list(p.parent ORDER BY p.position) FROM parents p "
        "JOIN variants v ON v.id = p.variant WHERE operator = 'crossover' GROUP BY 1",
    )
    assert crossovers
    for variant, parents in crossovers:
        told = git(project, "log", "-1", "--format=%P", commits[variant]).split()
        assert len(told) > 1
        assert told == [commits[parent] for parent in parents]


def test_every_refusal_has_its_cause_and_every_acceptance_its_variant(finished: Path) -> None:
    refused = "SELECT count(*) FROM proposals WHERE (outcome = 'accepted') <> (cause = '')"
    assert rows(finished, refused) == [(0,)]
    lost = (
        "SELECT count(*) FROM proposals p FULL JOIN variants v ON v.proposal = p.id "
        "WHERE (p.outcome = 'accepted') <> (v.id IS NOT NULL) OR p.id IS NULL"
    )
    assert rows(finished, lost) == [(0,)]
    programs = "SELECT count(DISTINCT program_sha), bool_and(program_sha IN (SELECT sha FROM programs)) FROM proposals"  # noqa: E501
    assert rows(finished, programs) == [(1, True)]


def test_the_number_of_trials_that_was_asked_for_is_finished_and_no_other(finished: Path) -> None:
    assert rows(finished, "SELECT count(*) FROM trials WHERE seq IS NOT NULL") == [(40,)]
    assert rows(finished, "SELECT count(*) FROM trials WHERE status = 'running'") == [(0,)]
    assert rows(finished, "SELECT bool_and(self_reported), count(val_bpb) FROM trials") == [
        (True, 0)
    ]


def test_the_champion_of_git_and_of_the_archive_are_the_same_and_better(finished: Path) -> None:
    [(commit, score)] = rows(
        finished,
        "SELECT v.commit, c.mean FROM champions c JOIN variants v ON v.id = c.variant "
        "ORDER BY c.seq DESC LIMIT 1",
    )
    assert git(finished, "rev-parse", "champion").strip() == commit
    [(first,)] = rows(finished, "SELECT score FROM trials WHERE variant = 0 LIMIT 1")
    assert score < first
    titles = git(finished, "log", "--first-parent", "--format=%s", "champion").splitlines()
    assert titles[-1] == "Baseline"
    assert git(finished, "cat-file", "-t", "champion:script.py").strip() == "blob"


def test_a_champion_was_measured_twice_with_different_seeds(finished: Path) -> None:
    found = rows(
        finished,
        "SELECT count(DISTINCT seed), count(*) FROM trials WHERE status = 'scored' AND variant IN "
        "(SELECT variant FROM champions) GROUP BY variant",
    )
    assert all(seeds == trials >= 2 for seeds, trials in found)


def test_the_log_has_a_line_for_each_trial_and_the_heartbeat_the_end(finished: Path) -> None:
    folder = finished / "population" / "main"
    log = (folder / "events.log").read_text()
    assert sum("  trial " in line[19:28] for line in log.splitlines()) == 40
    beat = heartbeat.read(folder)
    assert beat is not None
    assert (beat.phase, beat.message) == (Phase.STOPPED, "all trials are done")
    assert (beat.trials_finished, beat.running) == (40, ())
    assert not heartbeat.alive(beat)


def test_the_bundle_can_be_cloned_and_holds_every_variant(finished: Path, tmp_path: Path) -> None:
    bundle = finished / "archive" / "main" / "variants.bundle"
    refs = git(finished, "bundle", "list-heads", str(bundle))
    [(variants,)] = rows(finished, "SELECT count(*) FROM variants")
    assert refs.count("refs/variants/") == variants
    git(finished, "clone", "-q", "--mirror", str(bundle), str(tmp_path / "copy.git"))


# Going on


def test_a_second_session_goes_on_with_the_next_ids(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    for count in (5, 10):
        assert assembled(project, trials=5).run() is Phase.STOPPED
        done = rows(project, "SELECT id, seq FROM trials WHERE seq IS NOT NULL ORDER BY id")
        assert len(done) == len({seq for _, seq in done}) == count
    for table in ("trials", "variants", "proposals"):
        ids = [row[0] for row in rows(project, f"SELECT id FROM {table} ORDER BY id")]
        assert ids == list(range(len(ids)))
    sessions = rows(project, "SELECT how FROM sessions ORDER BY started_at")
    assert sessions == [("all trials are done",)] * 2
    assert "resumed" in (project / "population/main/events.log").read_text()


def test_an_engine_that_takes_over_a_run_shows_itself_before_it_has_done_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, seen = make_project(tmp_path), list[Phase | None]()
    folder = project / "population" / "main"
    assert assembled(project, trials=2).run() is Phase.STOPPED

    class Onlooker(Evolution):
        def tell(self, record: Proposal | Variant | Trial | Wish) -> Standing:
            beat = heartbeat.read(folder)
            seen.append(beat.phase if beat and heartbeat.alive(beat) else None)
            return super().tell(record)

    monkeypatch.setitem(STRATEGIES, "population", Onlooker)
    assert assembled(project, trials=1).run() is Phase.STOPPED
    assert seen[0] is Phase.STARTING


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"task__budget_seconds": 7.0},
            r"begun with budget_seconds 20.0, not 7.0: .*; put it back \(--budget 20\), or start",
        ),
        ({"task__direction": "maximise"}, "begun with direction minimise, not maximise"),
        ({"task__command": "python -S {editable}"}, "begun with command python {editable}, not"),
        ({"task__metric": "other"}, "begun with metric score, not other.*put it back, or start"),
    ],
)
def test_what_would_make_scores_incomparable_is_refused(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    project = make_project(tmp_path)
    assembled(project, trials=1).run()
    with pytest.raises(SettingsError, match=words) as caught:
        assembled(project, **changed)
    assert "--run NAME" in str(caught.value)
    assert assembled(project, trials=1).run() is Phase.STOPPED  # the run is free, and as it was


def test_a_changed_baseline_is_told_and_the_run_goes_on_with_its_own(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assembled(project, trials=2).run()
    (project / "script.py").write_text(BEST)
    assembled(project, trials=2).run()
    notes = rows(project, "SELECT string_agg(text, ' ') FROM events WHERE kind = 'note'")[0][0]
    assert "script.py has changed since this run began" in notes
    assert "`evo enqueue script.py --run main` has it tried here" in notes
    assert "KNOB = 1.0" in git(project, "show", "refs/variants/0:script.py")


def test_a_baseline_that_a_variant_was_made_of_is_told(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assembled(project, trials=2).run()
    found = git(project, "show", "refs/variants/1:script.py")
    (project / "script.py").write_text(f"{found}\n# It was the best.\n")
    assembled(project, trials=1).run()
    notes = rows(project, "SELECT string_agg(text, ' ') FROM events WHERE kind = 'note'")[0][0]
    assert "script.py is variant 1 of this run now, which goes on from what it was" in notes


def test_one_slot_and_nothing_ahead_repeat_a_search_exactly(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        project = make_project(tmp_path / name)
        assembled(project, trials=15, proposals_ahead=0).run()
        scores = rows(project, "SELECT id, variant, seed, score FROM trials ORDER BY id")
        found.append((rows(project, PROPOSALS), scores))
    assert len(found[0][0]) >= 8
    assert found[0] == found[1]


def test_another_seed_is_another_search(tmp_path: Path) -> None:
    found = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        project = make_project(tmp_path / str(seed))
        assembled(project, trials=15, proposals_ahead=0, seed=seed).run()
        found.append(rows(project, PROPOSALS))
    assert found[0] != found[1]


# People


def test_a_stop_lets_running_trials_finish_and_starts_no_other(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=2, seconds=0.3)
    with running(project):
        wait_until(lambda: finished_trials(project) >= 2, "two trials are over")
        inbox.ask(project / "population" / "main", Verb.STOP, how="finish")
    assert phase(project) is Phase.STOPPED
    assert rows(project, "SELECT count(*) FROM trials WHERE status = 'running'") == [(0,)]
    assert rows(project, "SELECT verb, outcome FROM requests") == [("stop", "stopping")]
    beat = heartbeat.read(project / "population" / "main")
    assert beat is not None
    assert "asked for it" in beat.message


def test_a_stop_now_waits_for_nothing_and_the_next_session_takes_it_up(tmp_path: Path) -> None:
    project = make_project(tmp_path, script=SCRIPT.replace("{seconds}", "30"))
    with running(project):
        wait_until(lambda: log_of(project, 0).exists(), "a trial runs")
        inbox.ask(project / "population" / "main", Verb.STOP, how="now")
    assert rows(project, "SELECT id, status, attempt FROM trials WHERE seq IS NULL")[0][0] == 0
    with running(project):
        wait_until(lambda: log_of(project, 0).exists(), "it runs again")
        inbox.ask(project / "population" / "main", Verb.STOP, how="now")
    assert rows(project, "SELECT count(*) FROM trials WHERE variant = 0") == [(1,)]


def log_of(project: Path, trial: int) -> Path:
    return project / "population" / "main" / "trials" / str(trial) / "log.txt"


def test_a_stop_that_came_too_late_does_not_end_the_next_session(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assembled(project, trials=1).run()
    inbox.ask(project / "population" / "main", Verb.STOP, how="now")
    assembled(project, trials=3).run()
    assert rows(project, "SELECT count(*) FROM trials WHERE seq IS NOT NULL") == [(4,)]
    assert rows(project, "SELECT outcome FROM requests") == [
        ("refused: it was meant for an engine that has ended",)
    ]


def test_a_patch_that_was_handed_in_before_the_run_is_tried(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    script = (project / "script.py").read_text()
    patch = diff(script, script.replace("KNOB = 1.0", "KNOB = 3.0"), "script.py")
    inbox.ask(project / "population" / "main", Verb.ENQUEUE, title="Knob three", text=patch)
    assembled(project, trials=8).run()
    [(title, score)] = rows(
        project,
        "SELECT title, score FROM variants v JOIN trials t ON t.variant = v.id "
        "WHERE operator = 'human' AND purpose = 'first'",
    )
    assert title == "Knob three"
    assert score == pytest.approx(0.9625)
    assert list((project / "population/main/inbox").iterdir()) == []


def test_a_whole_file_that_is_handed_in_while_it_runs_is_tried_next(tmp_path: Path) -> None:
    project = make_project(tmp_path, seconds=0.1)
    with running(project, trials=12):
        wait_until(lambda: finished_trials(project) >= 2, "the baseline is measured")
        inbox.ask(project / "population" / "main", Verb.ENQUEUE, title="Mine", text=BEST)
    found = rows(project, "SELECT title FROM variants WHERE operator = 'human'")
    assert found == [("Mine",)]
    assert rows(project, "SELECT outcome FROM requests WHERE verb = 'enqueue'") == [("queued",)]


def test_what_makes_no_sense_is_refused_with_a_reason_and_stops_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    folder = project / "population" / "main"
    inbox.ask(folder, Verb.ENQUEUE, title="", text="")
    inbox.ask(folder, Verb.ENQUEUE, title="Words", text="make it better, please\x00")
    (folder / "inbox" / "zero.json").write_bytes(b"\xff{")
    assert assembled(project, trials=5).run() is Phase.STOPPED
    refused = rows(
        project, "SELECT outcome, cause <> '' FROM proposals WHERE operator = 'human' ORDER BY id"
    )
    assert [told for _, told in refused] == [True, True]
    assert list((folder / "inbox").iterdir()) == []


def test_what_was_handed_in_survives_an_engine_that_ends_before_it_is_tried(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path, script=SCRIPT.replace("{seconds}", "0.5"))
    folder = project / "population" / "main"
    inbox.ask(folder, Verb.ENQUEUE, title="Mine", text=BEST)
    with running(project):  # the baseline has no score yet, so it waits
        inbox.ask(folder, Verb.STOP, how="now")
    assert rows(project, "SELECT count(*) FROM variants WHERE operator = 'human'") == [(0,)]
    for _ in range(2):
        assembled(project, trials=4).run()
    assert rows(project, "SELECT count(*) FROM proposals WHERE operator = 'human'") == [(1,)]


# Ends


def test_a_bundle_that_can_not_be_written_stops_nothing_and_is_told(tmp_path: Path) -> None:
    project = make_project(tmp_path, seconds=0.05)
    (project / "archive" / "main" / "variants.bundle" / "in the way").mkdir(parents=True)
    with pytest.raises(ArchiveError, match=r"variants.bundle can't be published"):
        assembled(project, trials=4).run()
    assert rows(project, "SELECT count(*) FROM trials WHERE status = 'scored'") == [(4,)]
    notes = rows(project, "SELECT text FROM events WHERE kind = 'note'")
    assert sum("variants.bundle" in text for [text] in notes) == 1


def test_a_clock_that_is_set_back_stops_no_heartbeat(tmp_path: Path) -> None:
    project, shift = make_project(tmp_path, seconds=0.3), [0.0]
    engine = assembled(project)
    engine._clock = engine._bulletin._clock = lambda: time.time() - shift[0]
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        wait_until(lambda: finished_trials(project) >= 1, "it searches")
        shift[0] = 7200.0
        wait_until(lambda: beat_at(project) < time.time() - 7000, "it beats by the new clock")
    finally:
        inbox.ask(project / "population" / "main", Verb.STOP, how="now")
        thread.join(60)
    assert not thread.is_alive(), "it heard nothing of its inbox"


def beat_at(project: Path) -> float:
    beat = heartbeat.read(project / "population" / "main")
    return beat.at if beat else math.inf


def test_a_search_is_told_how_many_trials_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, told = make_project(tmp_path, slots=1), list[float | None]()
    monkeypatch.setattr(Evolution, "expect", lambda _, trials: told.append(trials))
    assert assembled(project, trials=5).run() is Phase.STOPPED
    assert told[0] == 5
    assert told[-1] in (0, 1)
    assert sorted(told, key=lambda left: -(left or 0)) == told
    told.clear()
    assert assembled(project, hours=1.5 / 3600).run() is Phase.STOPPED
    assert told[0] is None


def test_hours_end_a_session(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert assembled(project, hours=1.5 / 3600).run() is Phase.STOPPED
    beat = heartbeat.read(project / "population" / "main")
    assert beat is not None
    assert "hours are over" in beat.message
    assert rows(project, "SELECT count(*) > 0 FROM trials WHERE seq IS NOT NULL") == [(True,)]


def test_a_baseline_that_crashes_stops_every_session_with_the_same_reason(tmp_path: Path) -> None:
    project = make_project(tmp_path, script='raise ValueError("no towns")\n')
    for _ in range(2):
        assert assembled(project, trials=5).run() is Phase.FAILED
        beat = heartbeat.read(project / "population" / "main")
        assert beat is not None
        assert "the baseline has no score" in beat.message
        assert "ValueError: no towns" in beat.message
    assert rows(project, "SELECT id, status FROM trials") == [(0, "crashed")]


def test_operators_with_nothing_new_end_the_search(tmp_path: Path) -> None:
    project = make_project(tmp_path, script=FIXED.replace(" * 0", ""))
    (project / "script.py").write_text("import os\nprint('score:', len(os.environ))\n")
    assert assembled(project, trials=50).run() is Phase.STOPPED
    beat = heartbeat.read(project / "population" / "main")
    assert beat is not None
    assert "nothing" in beat.message
    assert rows(project, "SELECT count(*) FROM proposals")[0][0] < 500


def test_operators_with_nothing_new_are_left_alone_while_a_trial_runs(tmp_path: Path) -> None:
    script = "import os, time\ntime.sleep(3 if os.path else 0)\nprint('score:', len(os.environ))\n"
    project = make_project(tmp_path, script=script)
    assert assembled(project, trials=50).run() is Phase.STOPPED
    assert rows(project, "SELECT count(*) FROM proposals")[0][0] < 1000


def test_a_trial_that_crashes_costs_its_variant_and_not_the_search(tmp_path: Path) -> None:
    script = SCRIPT.replace("{seconds}", "0.0").replace(
        "import time\n", "import time\nDEPTH = 1\nassert DEPTH == 1, 'too deep'\n", 1
    )
    project = make_project(tmp_path, script=script)
    assert assembled(project, trials=40, proposals_ahead=0).run() is Phase.STOPPED
    found = rows(
        project,
        "SELECT DISTINCT status, cause, score FROM trials WHERE seq IS NOT NULL "
        "AND status <> 'scored'",
    )
    assert found == [("crashed", "it ended with exit status 1: AssertionError: too deep", None)]


class Reading(Founder):
    """Founding by somebody whose store is a file."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        self._store.read_text()
        return super().propose(brief, shelf)


def test_a_store_that_fails_an_operator_ends_the_session_and_costs_no_proposal(
    tmp_path: Path,
) -> None:
    project, store = make_project(tmp_path), tmp_path / "store"

    def engine() -> Engine:
        return assemble(
            project=project,
            settings=load(project, {"trials": 6}),
            folder=project / "population" / "main",
            archive_folder=project / "archive" / "main",
            baseline=(project / "script.py").read_text(),
            others={"founder": Reading(store)},
        )

    with pytest.raises(EvoError, match=r"store.*; what is finished is safe: mend that"):
        engine().run()
    assert phase(project) is Phase.FAILED
    founders = "SELECT subject, outcome FROM proposals WHERE operator = 'founder' ORDER BY id"
    assert rows(project, founders) == []
    store.write_text("")
    assert engine().run() is Phase.STOPPED
    assert {outcome for _, outcome in rows(project, founders)} == {"accepted"}
    ids = [row[0] for row in rows(project, "SELECT id FROM proposals ORDER BY id")]
    assert ids == list(range(len(ids)))


# What it begins with


def test_a_founder_that_can_not_be_read_is_passed_over_by_name(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    pool = project / "population" / "founders"
    (pool / "broken.patch").write_text("Title: x\n\nno diff at all\n")
    (pool / "binary.patch").write_bytes(b"Title: \xff\xfe\n")
    (pool / "misfit.patch").write_text(
        "Title: For another file\n\n--- a/script.py\n+++ b/script.py\n@@ -1 +1 @@\n-nope\n+yes\n"
    )
    assert assembled(project, trials=12, founders=10).run() is Phase.STOPPED
    notes = [row[0] for row in rows(project, "SELECT text FROM events WHERE kind = 'note'")]
    assert len(notes) == 2
    assert "binary.patch is passed over" in notes[0]
    assert "broken.patch is passed over" in notes[1]
    misfit = rows(project, "SELECT outcome, cause FROM proposals WHERE subject = 'misfit'")
    assert misfit
    assert misfit[0][0] == "malformed"


def test_without_founders_a_search_tunes(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    for path in (project / "population" / "founders").iterdir():
        path.unlink()
    assert assembled(project, trials=4).run() is Phase.STOPPED
    operators = {row[0] for row in rows(project, "SELECT operator FROM variants")}
    assert operators == {"baseline", "tune"}


def test_an_archive_without_its_repository_is_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assembled(project, trials=1).run()
    repository = project / "population" / "main" / "variants.git"
    repository.rename(repository.with_name("elsewhere"))
    with pytest.raises(PopulationError, match="is gone, but the archive knows variants"):
        assembled(project)
    bundle = project / "archive" / "main" / "variants.bundle"
    elsewhere = repository.with_name("elsewhere")
    elsewhere.rename(repository)
    git(project, "clone", "-q", "--mirror", str(bundle), str(elsewhere))
    repository.rename(project / "old")
    elsewhere.rename(repository)  # just as the message says
    assert assembled(project, trials=1).run() is Phase.STOPPED


def test_settings_of_the_run_are_kept_with_it(finished: Path) -> None:
    archive = Archive.open(finished / "population" / "main" / "run.duckdb")
    try:
        record = archive.run()
    finally:
        archive.close()
    assert record is not None
    assert record.settings["task"]["command"] == "python {editable}"
    assert json.dumps(record.settings)
