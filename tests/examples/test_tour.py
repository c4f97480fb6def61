"""The example that isn't machine learning evolves, and says whose word its numbers are."""

import shutil
from pathlib import Path

import pytest

from tests.projects import evo, rows, sql

EXAMPLE = Path(__file__).parents[2] / "examples" / "tour"


@pytest.fixture
def tour(tmp_path: Path) -> Path:
    """The example with a hundredth of its seconds."""
    project = Path(shutil.copytree(
        EXAMPLE, tmp_path / "tour", ignore=shutil.ignore_patterns("archive", "tour")
    ))  # fmt: skip
    script = project / "tour.py"
    text = script.read_text()
    assert text.count("SECONDS = 1.0") == 1
    script.write_text(text.replace("SECONDS = 1.0", "SECONDS = 0.05"))
    return project


def test_the_tour_evolves_and_its_trials_are_self_reported(tour: Path) -> None:
    said = evo(tour, "run", "--trials", "6", "--plain").stdout
    assert "6 trials, 6 with a score" in said
    found = rows(
        tour, "SELECT DISTINCT status, self_reported, val_bpb FROM trials WHERE seq IS NOT NULL",
        run="tour",
    )  # fmt: skip
    assert found == [("scored", True, None)]
    assert sql(tour, "SELECT metric, recipe FROM runs") == [
        {"metric": "tour_length", "recipe": "command"}
    ]


def test_every_founder_of_the_tour_applies() -> None:
    assert "no " not in evo(EXAMPLE, "founders", "check").stdout
