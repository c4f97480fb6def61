"""Publishing: readers have the old copy or the new one, and the engine isn't held up by either."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from evo.archive.archive import Archive
from evo.archive.publication import Publisher, publish
from evo.archive.reading import Reader
from evo.errors import ArchiveError
from tests.archive.records import NOW, RUN, proposal, variant
from tests.projects import wait_until


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive.open(tmp_path / "population" / "run.duckdb")
    made.begin_run(RUN)
    yield made
    made.close()


def publisher_of(archive: Archive, destination: Path) -> Publisher:
    return Publisher(lambda: publish(archive, destination), destination)


def count(path: Path) -> int:
    with Reader.open(path) as reader:
        return int(reader.query("SELECT count(*) FROM proposals").rows[0][0])


def test_what_was_recorded_before_the_request_is_in_the_copy(
    archive: Archive, tmp_path: Path
) -> None:
    published = tmp_path / "archive" / "archive.duckdb"
    publisher = publisher_of(archive, published)
    for number in range(5):
        archive.record_proposal(proposal(number), variant(number), NOW)
        publisher.request()
        publisher.flush()
        assert count(published) == number + 1
    publisher.close()
    assert [path.name for path in published.parent.iterdir()] == ["archive.duckdb"]


def test_a_reader_keeps_the_copy_that_it_opened(archive: Archive, tmp_path: Path) -> None:
    published = tmp_path / "archive.duckdb"
    publisher = publisher_of(archive, published)
    publisher.request()
    publisher.flush()
    with Reader.open(published) as reader:
        archive.record_proposal(proposal(0), variant(0), NOW)
        publisher.request()
        publisher.flush()
        assert reader.query("SELECT count(*) FROM proposals").rows == ((0,),)
    assert count(published) == 1
    publisher.close()


def test_every_copy_is_whole_while_somebody_writes(archive: Archive, tmp_path: Path) -> None:
    published, stop = tmp_path / "archive.duckdb", threading.Event()
    publisher = publisher_of(archive, published)
    publisher.request()
    publisher.flush()

    def write() -> None:
        for number in range(300):
            archive.record_proposal(proposal(number), variant(number), NOW)
            publisher.request()
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not stop.is_set():
        with Reader.open(published) as reader:
            [[proposals, variants]] = reader.query(
                "SELECT (SELECT count(*) FROM proposals), (SELECT count(*) FROM variants)"
            ).rows
        assert proposals == variants
        seen.append(proposals)
    writer.join()
    publisher.flush()
    publisher.close()
    assert seen == sorted(seen)
    assert count(published) == 300


def test_a_place_that_cannot_be_written_is_told_and_tried_again(
    archive: Archive, tmp_path: Path
) -> None:
    place = tmp_path / "archive"
    place.write_text("a file where the folder should be")
    publisher = publisher_of(archive, place / "archive.duckdb")
    publisher.request()
    with pytest.raises(ArchiveError, match="can't be published"):
        publisher.flush()
    place.unlink()
    publisher.request()
    publisher.flush()
    assert count(place / "archive.duckdb") == 0
    publisher.close()


def test_a_bug_in_copying_is_told_and_the_next_copy_is_made(tmp_path: Path) -> None:
    published, texts = tmp_path / "archive.duckdb", list[str]()

    def copy() -> None:
        published.write_text(texts[0])

    publisher = Publisher(copy, published)
    publisher.request()
    wait_until(lambda: publisher.last_error is not None, "it is told", 20)
    with pytest.raises(ArchiveError, match="can't be published: bug: IndexError"):
        publisher.flush()
    texts.append("whole")
    publisher.request()
    publisher.flush()
    publisher.close()
    assert published.read_text() == "whole"
