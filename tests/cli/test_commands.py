"""The commands, called as a user calls them: in a shell, in a project folder, with pipes."""

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from evo.engine import heartbeat
from evo.engine.heartbeat import Phase
from tests.projects import SCRIPT, evo, make_project, rows, start_engine, wait_until

LOOKING = ("status", "best", "show best", "diff best", "lineage best", "log best")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose run is over, and the champion is a grandchild of the baseline."""
    made = make_project(tmp_path_factory.mktemp("commands"), slots=2)
    done = evo(made, "run", "--trials", "30", "--plain")
    assert "30 trials, 30 with a score" in done.stdout, done.stdout
    return made


def champion(project: Path) -> int:
    return int(rows(project, "SELECT variant FROM champions ORDER BY seq DESC LIMIT 1")[0][0])


# Help, and what isn't a command


@pytest.mark.parametrize(
    "command",
    ["", "init", "run", "status", "stop", "best", "show", "diff", "checkout", "log", "lineage",
     "sql", "data", "data prepare", "eval", "enqueue", "founders", "founders check", "doctor"],
)  # fmt: skip
def test_each_command_explains_itself(command: str, tmp_path: Path) -> None:
    said = evo(tmp_path, *command.split(), "--help").stdout
    assert said.startswith("Usage: evo")
    assert max(len(line) for line in said.splitlines()) <= 80


def test_a_misspelt_command_is_met_with_the_near_one(tmp_path: Path) -> None:
    done = evo(tmp_path, "stauts", check=False)
    assert done.returncode == 2
    assert "No such command 'stauts'" in done.stderr
    assert "Did you mean `status`?" in done.stderr


def test_a_misspelt_flag_is_met_with_usage_and_exit_code_two(tmp_path: Path) -> None:
    done = evo(tmp_path, "run", "--trails", "3", check=False)
    assert done.returncode == 2
    assert "--trials" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_is_told(tmp_path: Path) -> None:
    assert evo(tmp_path, "--version").stdout.startswith("evo, version ")


# init, founders


def test_init_makes_a_project_with_everything_and_overwrites_nothing(tmp_path: Path) -> None:
    assert "is ready" in evo(tmp_path, "init", "mine").stdout
    mine = tmp_path / "mine"
    assert {path.name for path in mine.iterdir()} == {
        "train.py", "program.md", "pyproject.toml", "population",
    }  # fmt: skip
    checked = evo(mine, "founders", "check").stdout.splitlines()
    assert len(checked) > 10
    assert all(line.startswith("ok ") for line in checked)
    assert len(evo(mine, "founders", "list").stdout.splitlines()) == len(checked)

    (mine / "train.py").write_text("# mine\n")
    again = evo(tmp_path, "init", "mine", check=False)
    assert again.returncode == 2
    assert "evo overwrites nothing" in again.stderr
    assert (mine / "train.py").read_text() == "# mine\n"


def test_founders_check_names_the_one_that_does_not_apply(tmp_path: Path) -> None:
    made = make_project(tmp_path)
    (made / "script.py").write_text(SCRIPT.replace("KNOB = 1.0", "KNOB = 7.0"))
    done = evo(made, "founders", "check", check=False)
    assert done.returncode == 1
    assert "no  wider" in done.stdout
    assert "expects 'KNOB = 1.0', but line 2 is 'KNOB = 7.0'" in done.stdout


def test_founders_list_names_those_that_can_not_be_read_too(tmp_path: Path) -> None:
    made = make_project(tmp_path)
    pool = made / "population" / "founders"
    (pool / "broken.patch").write_text("Title: x\n\nno diff at all\n")
    (pool / "binary.patch").write_bytes(b"Title: \xff\xfe\n")
    done = evo(made, "founders", "list")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["shorter", "smaller", "wider"]
    assert [line.split()[1] for line in done.stderr.splitlines()] == [
        "binary.patch", "broken.patch",
    ]  # fmt: skip


# run


def test_a_plain_run_prints_a_line_for_each_trial_and_a_summary(tmp_path: Path) -> None:
    made = make_project(tmp_path)
    done = evo(made, "run", "--trials", "6", "--plain")
    lines = done.stdout.splitlines()
    assert sum("  trial " in line[8:18] for line in lines) == 6
    assert any(line.startswith("best") for line in lines)
    assert any("self-reported" in line for line in lines)
    assert done.stderr == ""


def test_each_line_of_a_plain_run_says_what_was_so_after_its_trial(tmp_path: Path) -> None:
    made = make_project(tmp_path)
    lines = evo(made, "run", "--trials", "8", "--plain").stdout.splitlines()
    ends = [line.rpartition("  [")[2] for line in lines if "  trial " in line[8:18]]
    assert len(ends) == 8
    for number, end in enumerate(ends, 1):
        assert f"tried {number}/8" in end
    assert "kept 1, tried 1/8" in ends[0]
    assert not any("no leader yet" in end for end in ends)


def test_what_is_suggested_names_a_run_that_the_settings_do_not(tmp_path: Path) -> None:
    made = make_project(tmp_path)
    said = evo(made, "run", "--trials", "8", "--plain", "--run", "night").stdout
    for command in ('evo sql "from operator_yield" --run night', "evo run --run night"):
        assert command in said
    [taken] = [line.split(">")[0].split() for line in said.splitlines() if "evo checkout" in line]
    assert evo(made, *taken[1:]).stdout.startswith("import time")
    assert "`evo run --run night` goes on" in " ".join(
        evo(made, "status", "--run", "night").stdout.split()
    )
    assert evo(made, "hint", "Be bold.", "--run", "night").stdout == (
        "kept for the next `evo run --run night`\n"
    )
    (made / "pyproject.toml").write_text(
        (made / "pyproject.toml").read_text().replace("[tool.evo]", '[tool.evo]\nrun = "night"')
    )
    assert "--run" not in evo(made, "status").stdout


def test_a_detached_run_works_on_and_can_be_stopped(tmp_path: Path) -> None:
    made = make_project(tmp_path, seconds=0.2)
    assert "runs as process" in evo(made, "run", "--detach").stdout
    wait_until(lambda: trials_finished(made) > 1, "two trials are over")
    said = evo(made, "status").stdout
    assert "evo main is searching, process" in said
    assert json.loads(evo(made, "status", "--json").stdout)["working"] is True
    second = evo(made, "run", "--trials", "1", check=False)
    assert second.returncode == 2
    assert "an engine works on main already (process" in second.stderr
    assert "finish first" in evo(made, "stop").stdout
    wait_until(lambda: ended(made), "it has stopped")
    assert "is stopped" in evo(made, "status").stdout
    assert evo(made, "stop").stdout == "no engine works on main\n"


def test_an_engine_that_was_killed_is_gone_and_not_stopped(tmp_path: Path) -> None:
    made = make_project(tmp_path, seconds=0.2)
    engine = start_engine(made)
    wait_until(lambda: trials_finished(made) > 0, "a trial is over")
    engine.kill()
    engine.wait()
    assert "its engine is gone" in evo(made, "status").stdout
    told = json.loads(evo(made, "status", "--json").stdout)
    assert (told["working"], told["phase"]) == (False, "searching")


def test_ctrl_c_finishes_the_running_trials_and_prints_the_summary(tmp_path: Path) -> None:
    made = make_project(tmp_path, seconds=0.5)
    run = start_run(made)
    wait_until(lambda: trials_finished(made) > 1, "two trials are over")
    run.send_signal(signal.SIGINT)
    said, complaints = run.communicate(timeout=60)
    assert run.returncode == 0, complaints
    assert "finishing the running trials; Ctrl-C again stops now" in said
    assert "next" in said
    assert "Aborted" not in said + complaints
    assert rows(made, "SELECT count(*) FROM trials WHERE status = 'running'") == [(0,)]


def test_a_second_ctrl_c_stops_now(tmp_path: Path) -> None:
    made = make_project(tmp_path, script=SCRIPT.replace("{seconds}", "15"))
    run = start_run(made)
    lines = run.stdout
    assert lines is not None
    assert lines.readline() == "Ctrl-C finishes the running trials and stops\n"
    wait_until(lambda: bool(list(made.glob("population/main/trials/0/log.txt"))), "a trial runs")
    run.send_signal(signal.SIGINT)
    wait_until(lambda: "finishing" in lines.readline(), "it was heard")
    run.send_signal(signal.SIGINT)
    said, complaints = run.communicate(timeout=60)
    assert run.returncode == 0, complaints
    assert "stopping now" in said
    assert rows(made, "SELECT count(*) FROM trials WHERE seq IS NOT NULL") == [(0,)]


def start_run(project: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "evo", "run", "--plain"],
        cwd=project,
        env=os.environ | {"COLUMNS": "80", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trials_finished(project: Path) -> int:
    beat = heartbeat.read(project / "population" / "main")
    return beat.trials_finished if beat else 0


def ended(project: Path) -> bool:
    beat = heartbeat.read(project / "population" / "main")
    return beat is not None and beat.phase is Phase.STOPPED


# Looking


def test_the_best_is_shown_with_its_gain_and_the_way_to_it(project: Path) -> None:
    said = evo(project, "best").stdout
    assert f"v{champion(project)}" in said
    assert "gain" in said
    assert "self-reported" in said
    told = json.loads(evo(project, "best", "--json").stdout)
    assert told["gain"] > 0
    assert told["self_reported"] is True
    assert told["steps"][0]["operator"] == "baseline"
    assert json.loads(evo(project, "lineage", "best", "--json").stdout) == told


@pytest.mark.parametrize("command", ["show", "diff", "checkout", "log", "lineage"])
def test_a_variant_goes_by_number_commit_or_nickname(command: str, project: Path) -> None:
    number = champion(project)
    [(commit,)] = rows(project, f"SELECT commit FROM variants WHERE id = {number}")
    names = {
        "show": (f"v{number}", commit),
        "diff": (str(number), commit[:10]),
    }.get(command, (str(number), "best"))
    said = {evo(project, command, name).stdout for name in names}
    assert len(said) == 1
    assert said.pop().strip()


@pytest.mark.parametrize("name", ["999", "nonsense", "'; drop table", "-1", ""])
def test_a_variant_that_is_not_there_is_one_line(name: str, project: Path) -> None:
    done = evo(project, "show", "--", name, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: there is no variant")
    assert done.stderr.count("\n") == 1


def test_show_tells_why_what_and_how_it_went(project: Path) -> None:
    said = evo(project, "show", "best").stdout
    for words in ("score", "replicate", "scored", "+++ b/script.py"):
        assert words in said
    told = json.loads(evo(project, "show", "best", "--json").stdout)
    assert told["variant"]["id"] == champion(project)
    assert len(told["trials"]) == 2
    assert "\nthe baseline, commit " in evo(project, "show", "baseline").stdout


def test_a_diff_applies_to_the_baseline_and_gives_what_checkout_writes(project: Path) -> None:
    patch = evo(project, "diff", "best", "baseline").stdout
    subprocess.run(
        ["git", "apply", "--check", "-"], input=patch, text=True, cwd=project, check=True
    )
    done = evo(project, "diff", "baseline", check=False)
    assert done.returncode == 2
    assert "has no parent" in done.stderr
    assert evo(project, "checkout", "baseline").stdout == (project / "script.py").read_text()


def test_checkout_writes_a_file_and_overwrites_none(project: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.py"
    evo(project, "checkout", "best", "-o", str(path))
    assert path.read_text() == evo(project, "checkout", "best").stdout
    again = evo(project, "checkout", "best", "-o", str(path), check=False)
    assert again.returncode == 2
    assert "evo overwrites nothing" in again.stderr
    measured = evo(project, "eval", str(path), "--json")
    [one] = json.loads(measured.stdout)
    assert one["score"] == pytest.approx(json.loads(evo(project, "best", "--json").stdout)
                                         ["steps"][-1]["score"]["mean"])  # fmt: skip


def test_sql_answers_in_three_forms_and_lists_what_there_is(project: Path) -> None:
    query = "select id, operator from variants order by id limit 2"
    assert json.loads(evo(project, "sql", query, "--json").stdout)[0] == {
        "id": 0, "operator": "baseline",
    }  # fmt: skip
    table = list(csv.reader(io.StringIO(evo(project, "sql", query, "--csv").stdout)))
    assert table[:2] == [["id", "operator"], ["0", "baseline"]]
    assert "baseline" in evo(project, "sql", query).stdout
    listed = evo(project, "sql").stdout
    assert "operator_yield" in listed
    for wrong in ("from nowhere", "drop table trials"):
        done = evo(project, "sql", wrong, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


@pytest.mark.parametrize("command", LOOKING)
def test_what_is_piped_has_no_escape_codes_and_fits_in_eighty_columns(
    command: str, project: Path
) -> None:
    said = evo(project, *command.split()).stdout
    assert "\x1b" not in said
    assert max(len(line) for line in said.splitlines()) <= 80


def test_a_project_without_a_run_says_how_to_start_one(tmp_path: Path) -> None:
    made = make_project(tmp_path)
    for command in ("status", "best", "log 3"):
        done = evo(made, *command.split(), check=False)
        assert done.returncode == 2
        assert "start one with `evo run`" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_run_of_another_name_is_named_where_none_of_this_is(project: Path) -> None:
    done = evo(project, "best", "--run", "other", check=False)
    assert (done.returncode, "there is main (--run NAME)" in done.stderr) == (2, True)


# eval, enqueue


def test_eval_measures_with_several_seeds(tmp_path: Path) -> None:
    made = make_project(
        tmp_path, script='import os\nprint("score:", int(os.environ["EVO_SEED"]))\n'
    )
    told = json.loads(evo(made, "eval", "script.py", "--seeds", "3", "--json").stdout)
    assert [(one["seed"], one["score"], one["status"]) for one in told] == [
        (0, 0.0, "scored"), (1, 1.0, "scored"), (2, 2.0, "scored"),
    ]  # fmt: skip
    said = evo(made, "eval", "script.py", "--seeds", "3", "--seed", "5").stdout
    assert "mean 6.000000  std 1.000000  range 2.000000  n 3" in said
    assert not (made / "population" / "main").exists()


def test_eval_of_a_script_that_crashes_says_so_and_exits_with_one(tmp_path: Path) -> None:
    made = make_project(tmp_path, script="raise ValueError('no')\n")
    done = evo(made, "eval", "script.py", check=False)
    assert done.returncode == 1
    assert "CRASHED" in done.stdout
    assert "ValueError: no" in done.stdout


DOOMED = """import os, subprocess, sys
if os.environ["EVO_SEED"] == "1":
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)", "doomed"])
print("score:", os.environ["EVO_SEED"])
"""
"""With one seed it waits until somebody ends what it waits for, or its referee."""


def start_eval(project: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "evo", "eval", "script.py", *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def below(command: subprocess.Popen[str], word: str) -> list[psutil.Process]:
    """Processes that a command has begun, by a word of their command line."""
    found = []
    for child in psutil.Process(command.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if word in child.cmdline():
                found.append(child)
    return found


def lose(command: subprocess.Popen[str], times: int) -> None:
    """Kills the referee of a doomed trial, so many times."""
    for _ in range(times):
        wait_until(lambda: bool(below(command, "doomed")), "the trial waits")
        doomed = below(command, "doomed")
        for referee in below(command, "evo.arena.worker"):
            referee.kill()
        assert psutil.wait_procs(doomed, timeout=20)[1] == []


def test_a_seed_that_is_lost_is_measured_again(tmp_path: Path) -> None:
    command = start_eval(make_project(tmp_path, script=DOOMED), "--seeds", "3")
    lose(command, 2)
    wait_until(lambda: bool(below(command, "doomed")), "the trial waits")
    for doomed in below(command, "doomed"):
        doomed.kill()
    said, complaints = command.communicate(timeout=60)
    assert (command.returncode, complaints) == (0, "")
    assert "mean 1.000000" in said


def test_a_seed_that_is_lost_three_times_costs_no_other(tmp_path: Path) -> None:
    command = start_eval(make_project(tmp_path, script=DOOMED), "--seeds", "3")
    lose(command, 3)
    said, complaints = command.communicate(timeout=60)
    assert (command.returncode, complaints) == (1, "")
    lines = said.splitlines()
    assert lines[0] == "seed 0: score 0.000000"
    assert "seed 1: INFRASTRUCTURE  it was lost 3 times: the referee's process ended" in lines[1]
    assert lines[2] == "seed 2: score 2.000000"


def test_where_every_seed_is_lost_one_line_says_why(tmp_path: Path) -> None:
    command = start_eval(make_project(tmp_path, script=DOOMED), "--seed", "1")
    lose(command, 3)
    said, complaints = command.communicate(timeout=60)
    assert (command.returncode, said, complaints.count("\n")) == (2, "", 1)
    assert complaints.startswith("error: it was lost 3 times: the referee's process ended")


def test_a_file_that_is_enqueued_is_tried_by_the_next_run(tmp_path: Path) -> None:
    made = make_project(tmp_path)
    (made / "idea.py").write_text(SCRIPT.replace("KNOB = 1.0", "KNOB = 3.0").format(seconds=0))
    (made / "other.py").write_text(SCRIPT.replace("KNOB = 1.0", "KNOB = 2.9").format(seconds=0))
    assert evo(made, "enqueue", "idea.py", "--title", "Mine").stdout.startswith("kept for")
    evo(made, "enqueue", "other.py")
    evo(made, "run", "--trials", "6", "--plain")
    titles = rows(made, "SELECT title FROM variants WHERE operator = 'human' ORDER BY title")
    assert titles == [("By hand: other.py",), ("Mine",)]
