"""The choice of a tier, with what this machine has and with what it might lack."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evo.arena.profile import visible_gpus
from evo.errors import ArenaError, SettingsError
from evo.sandbox import canaries, canary, harness, landlock, reach
from evo.sandbox.plan import Limits, Tier
from evo.sandbox.sandbox import TierSandbox
from evo.sandbox.walls import TRIED, choose, survey

ROOT = Path(__file__).parents[2]
NAMESPACE_CALLS = "unshare mount setns clone"
LANDLOCK_CALLS = "landlock"
WITHOUT = """
import ctypes, sys
from evo.sandbox import seccomp, syscalls
machine = __import__('os').uname().machine
column, architecture = seccomp.ARCHITECTURES[machine]
refused, code = sys.argv[1].split(), []
for name in refused:
    numbers = {'landlock': (444, 444)}.get(name) or (syscalls.REFUSED | syscalls.ASKED)[name]
    result = seccomp.ERRNO | (seccomp.ENOSYS if name == 'landlock' else seccomp.EPERM)
    give_up = [seccomp._step(seccomp._RETURN, result)]
    if name == 'clone':
        give_up = seccomp._asked(False, True, 0)['clone']
    seccomp._when(code, numbers[column], give_up)
code = [seccomp._step(seccomp._LOAD, 0), *code, seccomp._step(seccomp._RETURN, seccomp.ALLOW)]
seccomp.install(b''.join(code))
from evo.sandbox.cells import adopt_orphans
from evo.sandbox.walls import choose
from evo.errors import EvoError
adopt_orphans()
try:
    print('CHOSE', choose(unsafe='unsafe' in sys.argv))
except EvoError as error:
    print('REFUSED', error)
"""
"""A process whose kernel refuses what a container, or an older kernel, would refuse."""


def where_only(*good: Tier) -> tuple[Callable[[Tier, str], list[str]], list[Tier]]:
    """A probe that finds only these tiers good, and which ones it was asked about."""
    asked: list[Tier] = []

    def probe(tier: Tier, gpu: str) -> list[str]:
        asked.append(tier)
        return [] if tier in good else ["a hole", "another"]

    return probe, asked


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "sandbox.json"


@pytest.mark.skipif(not shutil.which("bwrap"), reason="no bubblewrap here")
def test_the_strongest_tier_that_holds_is_chosen(cache: Path) -> None:
    probe, asked = where_only(Tier.NAMESPACES, Tier.LANDLOCK)
    assert choose(cache=cache, probe=probe) is Tier.NAMESPACES
    assert asked == [Tier.BUBBLEWRAP, Tier.NAMESPACES]


def test_a_tier_that_is_asked_for_by_name_is_the_only_one_tried(cache: Path) -> None:
    probe, asked = where_only(*Tier)
    assert choose("landlock", cache=cache, probe=probe) is Tier.LANDLOCK
    assert asked == [Tier.LANDLOCK]


def test_where_none_holds_evo_refuses_in_one_line_unless_told(cache: Path) -> None:
    probe, _ = where_only()
    with pytest.raises(ArenaError) as raised:
        choose(cache=cache, probe=probe)
    said = str(raised.value)
    assert "landlock: a hole and 1 more" in said
    assert "--unsafe" in said
    assert "\n" not in said
    assert choose(unsafe=True, cache=cache, probe=probe) is Tier.OPEN


def test_unsafe_allows_and_doesnt_demand(cache: Path) -> None:
    probe, _ = where_only(Tier.LANDLOCK)
    assert choose(unsafe=True, cache=cache, probe=probe) is Tier.LANDLOCK


def test_no_walls_at_all_must_be_said_twice(cache: Path) -> None:
    with pytest.raises(SettingsError, match="--unsafe"):
        choose("open", cache=cache)
    assert choose("open", unsafe=True, cache=cache) is Tier.OPEN


def test_the_answer_is_kept_until_something_changes(cache: Path) -> None:
    probe, asked = where_only(Tier.LANDLOCK)
    first = survey(cache=cache, probe=probe)
    before = len(asked)
    assert survey(cache=cache, probe=probe) == first
    assert len(asked) == before
    known = json.loads(cache.read_text())
    cache.write_text(json.dumps(known | {"key": "of another boot"}))
    assert survey(cache=cache, probe=probe) == first
    assert len(asked) == 2 * before


def test_that_none_holds_is_not_kept_for_somebody_may_mend_it(cache: Path) -> None:
    survey(cache=cache, probe=where_only()[0])
    assert choose(cache=cache, probe=where_only(Tier.LANDLOCK)[0]) is Tier.LANDLOCK


@pytest.mark.parametrize("text", ["", "{", '{"key": 1}', "\0" * 99])
def test_a_damaged_cache_is_as_good_as_none(cache: Path, text: str) -> None:
    cache.parent.mkdir()
    cache.write_text(text)
    probe, _ = where_only(Tier.LANDLOCK)
    assert choose(cache=cache, probe=probe) is Tier.LANDLOCK


def test_a_cache_that_cant_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    probe, _ = where_only(Tier.LANDLOCK)
    assert choose(cache=tmp_path / "file" / "no", probe=probe) is Tier.LANDLOCK


def test_without_bubblewrap_its_finding_says_how_to_get_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    probe, asked = where_only(Tier.NAMESPACES)
    first, second = survey(cache=cache, probe=probe)
    assert "apt install bubblewrap" in first.cause
    assert second.good
    assert asked == [Tier.NAMESPACES]


def _choose_without(calls: str, tmp_path: Path, *more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, calls, *more],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.skipif(not landlock.version(), reason="no Landlock here")
def test_where_namespaces_are_refused_as_in_a_container_landlock_is_used(tmp_path: Path) -> None:
    assert _choose_without(NAMESPACE_CALLS, tmp_path) == "CHOSE landlock"


def test_where_the_kernel_has_no_landlock_evo_refuses(tmp_path: Path) -> None:
    said = _choose_without(LANDLOCK_CALLS, tmp_path)
    assert said.startswith("REFUSED no sandbox works here")
    assert "this kernel has no Landlock" in said
    assert _choose_without(LANDLOCK_CALLS, tmp_path, "unsafe") == "CHOSE open"


# Canaries


def test_a_python_that_was_called_in_a_roundabout_way_works_in_the_same_tiers(
    tmp_path: Path,
) -> None:
    around = os.path.relpath(sys.executable, tmp_path)
    script = (
        "import sys; from pathlib import Path\n"
        "from evo.sandbox.cells import adopt_orphans\n"
        "from evo.sandbox.walls import survey\n"
        "adopt_orphans()\n"
        "found = survey(all_of_them=True, cache=Path(sys.argv[1]))\n"
        "print(*(one.tier for one in found if one.good))"
    )
    done = subprocess.run(
        [around, "-c", script, str(tmp_path / "cache")], cwd=tmp_path,
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == [one.tier for one in survey(all_of_them=True) if one.good]


def test_without_walls_the_canaries_get_out() -> None:
    found = canaries.holes(Tier.OPEN)
    assert {"read_a_secret", "write_outside", "list_a_folder"} <= set(found)
    assert "a file was written outside" in found


ENDED = canaries._Seen(full=False, heavy=False, killed=True)


def test_a_canary_that_didnt_run_counts_as_a_hole() -> None:
    with canaries.bait() as laid:
        found = canaries._judge([], laid, ENDED)
    assert found == [f"{name} didn't run" for name in canary.attempts()]
    with canaries.bait() as laid:
        half = [f"{name} ran" for name in canary.attempts()]
        assert len(canaries._judge(half, laid, ENDED)) == len(canary.attempts()) - 1


def test_who_takes_too_much_memory_is_refused_it_or_ended_for_it() -> None:
    others = [
        line for name in canary.attempts()[:-1] for line in (f"{name} ran", f"{name} refused x")
    ]
    others = [
        line.replace("refused", "succeeded") if line.split()[0] in canary.NEEDED else line
        for line in others
    ]
    alone = replace(ENDED, killed=False)
    with canaries.bait() as laid:
        for last, seen, good in (
            (["take_memory ran", "take_memory refused MemoryError"], alone, True),
            (["take_memory ran", "take_memory succeeded"], alone, False),
            (["take_memory ran", "take_memory succeeded"], replace(alone, heavy=True), True),
            (["take_memory ran"], alone, False),
            (["take_memory ran"], ENDED, True),
        ):
            assert (canaries._judge(others + last, laid, seen) == []) is good, (last, seen)


@pytest.mark.skipif(bool(visible_gpus()), reason="there is a GPU here")
def test_a_gpu_that_isnt_there_is_found_missing_before_any_trial() -> None:
    good = next((one.tier for one in survey() if one.good), None)
    if good is None:
        pytest.skip("no tier holds here")
    assert any("sees_its_gpu" in one for one in canaries.holes(good, gpu="0"))


# What a cell needs of the machine


@pytest.mark.parametrize("tier", [Tier.LANDLOCK, Tier.OPEN])
def test_scratch_that_cant_be_made_is_nobodys_fault_but_the_machines(
    tier: Tier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ArenaError, match="can't be started"):
        TierSandbox(tier).start(("python", "-c", "pass"), limits=Limits(100), threads=1)


def test_a_readable_path_that_isnt_there_is_named() -> None:
    sandbox = TierSandbox(Tier.LANDLOCK, ["/no/such/data"])
    with pytest.raises(ArenaError, match=r"readable names /no/such/data"):
        sandbox.start(("python", "-c", "pass"), limits=Limits(100), threads=1)


@pytest.mark.parametrize("tier", TRIED)
def test_what_the_settings_make_readable_can_be_read_and_not_written(
    tier: Tier, tmp_path: Path
) -> None:
    if not next(one.good for one in survey(all_of_them=True) if one.tier is tier):
        pytest.skip(f"no {tier} here")
    (tmp_path / "data").write_text("known")
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    program = (
        f"import sys; path = {str(tmp_path / 'data')!r}; print(open(path).read())\n"
        "try: open(path, 'w')\nexcept OSError: print('kept')"
    )
    cell = TierSandbox(tier, [str(tmp_path)]).start(
        ("python", "-c", program), limits=Limits(300), threads=1, merge_output=True
    )
    assert cell.wait(30) == 0
    cell.end()
    assert cell.log.tail().split() == ["known", "kept"]


def test_a_folder_called_evo_beside_a_script_hides_nothing(tmp_path: Path) -> None:
    """That of a clone is in the way of the package: it has no code of its own."""
    (tmp_path / "evo" / "docs").mkdir(parents=True)
    code = "import evo.cli.project; from evo.sandbox import harness; print(harness.SOURCE)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{harness.SOURCE}\n"


@pytest.mark.parametrize("place", ["lib/python3/site-packages", "src/app/.venv/lib"])
def test_a_cell_of_an_evo_among_the_systems_programs_cant_read_its_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """As in an image of a container, where Python is below /usr/local and projects in /usr/src."""
    usr, site = tmp_path / "usr", tmp_path / "usr" / place
    (site / "torch").mkdir(parents=True)
    (site / "evo" / "corpus").mkdir(parents=True)
    monkeypatch.setattr(reach, "_USR", (str(usr),))
    monkeypatch.setattr(harness, "SOURCE", site)
    found = [Path(path) for path in reach._usr()]
    assert (site / "torch" in found) is place.startswith("lib")
    for path in found:
        assert not (site / "evo").is_relative_to(path)


def test_a_python_that_only_root_can_reach_is_known_as_such(tmp_path: Path) -> None:
    home = tmp_path / "root"
    (home / "python" / "bin").mkdir(parents=True)
    (home / "python" / "bin" / "python3").write_text("")
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    inside = [str(home / "python")]
    assert not reach.hidden_from_others(inside, below=False)
    home.chmod(0o700)
    assert reach.hidden_from_others(inside, below=False)
    assert not reach.hidden_from_others(inside, below=True)


def test_a_cell_reads_of_evo_what_runs_in_it_and_nothing_else() -> None:
    found = reach.reach().readable
    assert not any(path == str(ROOT) or path == str(ROOT / "evo") for path in found)
    folder = next(Path(path) for path in found if "harness" in path)
    inside = {str(path.relative_to(folder)) for path in folder.rglob("*.py")}
    assert "evo/arena/cell.py" in inside
    assert not any(path.startswith(("evo/cli", "evo/archive", "evo/engine")) for path in inside)
    assert not list(folder.rglob("embedded"))
