"""The wire: frames arrive whole or not at all, and a hostile length costs nothing."""

import os
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.arena.wire import (
    HEADER,
    FrameReader,
    Kind,
    PipeClosedError,
    WireError,
    read_frame,
    write_frame,
)


def test_what_is_written_is_read_and_parts_are_joined() -> None:
    reading, writing = os.pipe()
    write_frame(writing, Kind.REPORT, b"ab", bytearray(b"cd"), memoryview(b""))
    assert read_frame(reading) == (Kind.REPORT, bytearray(b"abcd"))


def test_a_frame_larger_than_the_pipe_arrives_whole() -> None:
    reading, writing = os.pipe()
    body = os.urandom(3_000_000)
    sender = threading.Thread(target=write_frame, args=(writing, Kind.WEIGHTS, body))
    sender.start()
    reader = FrameReader(reading, {Kind.WEIGHTS: len(body)})
    frame = None
    while frame is None:
        frame = reader.poll(1.0)
    sender.join()
    assert frame.kind is Kind.WEIGHTS
    assert frame.body == body


def test_the_kind_is_known_as_soon_as_the_header_is_there() -> None:
    reading, writing = os.pipe()
    reader = FrameReader(reading, {Kind.WEIGHTS: 100})
    os.write(writing, HEADER.pack(Kind.WEIGHTS, 10) + b"12345")
    assert reader.poll(0.0) is None
    assert reader.arriving is Kind.WEIGHTS
    assert reader.expected_bytes == 10


def test_a_length_over_the_cap_is_refused_before_anything_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, HEADER.pack(Kind.WEIGHTS, 2**63))
    with pytest.raises(WireError, match="over the cap"):
        FrameReader(reading, {Kind.WEIGHTS: 1000}).poll(1.0)


@pytest.mark.parametrize("kind", [0, 99, Kind.JOB])
def test_a_kind_that_is_not_expected_is_refused(kind: int) -> None:
    reading, writing = os.pipe()
    os.write(writing, HEADER.pack(kind, 0))
    with pytest.raises(WireError, match="isn't part of the protocol"):
        FrameReader(reading, {Kind.REPORT: 12}).poll(1.0)


def test_a_pipe_that_ends_within_a_frame_says_so() -> None:
    reading, writing = os.pipe()
    os.write(writing, HEADER.pack(Kind.REPORT, 12) + b"123")
    os.close(writing)
    with pytest.raises(PipeClosedError, match="within a message"):
        FrameReader(reading, {Kind.REPORT: 12}).poll(1.0)


def test_a_frame_that_keeps_coming_holds_nobody_up(tmp_path: Path) -> None:
    size = 512 << 20
    stream = tmp_path / "stream"  # unlike a pipe, it always has more
    stream.write_bytes(HEADER.pack(Kind.WEIGHTS, size))
    os.truncate(stream, HEADER.size + size)
    with stream.open("rb") as file:
        reader = FrameReader(file.fileno(), {Kind.WEIGHTS: size})
        at_once = reader.poll(0.0) is not None
        assert not at_once
        assert reader.arriving is Kind.WEIGHTS
        while (frame := reader.poll(0.0)) is None:
            pass
    assert len(frame.body) == size


def test_writing_to_a_reader_that_is_gone_says_so() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(PipeClosedError):
        write_frame(writing, Kind.END)


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waited_for_but_never_crashes_the_reader(garbage: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, garbage)
    os.close(writing)
    reader = FrameReader(reading, {Kind.REPORT: 12, Kind.DONE: 0, Kind.ANSWER: 50})
    try:
        while True:
            frame = reader.poll(0.0)
            assert frame is None or len(frame.body) <= 50
    except WireError:
        pass
    finally:
        os.close(reading)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.floats()), max_size=20))
def test_messages_survive_being_cut_anywhere(reports: list[tuple[int, float]]) -> None:
    reading, writing = os.pipe()
    stream = b"".join(
        HEADER.pack(Kind.REPORT, 12) + struct.pack("<Id", step, loss) for step, loss in reports
    )
    reader = FrameReader(reading, {Kind.REPORT: 12})
    found = []
    for start in range(0, len(stream), 7):
        os.write(writing, stream[start : start + 7])
        if (frame := reader.poll(0.0)) is not None:
            found.append(bytes(frame.body))
    assert found == [struct.pack("<Id", step, loss) for step, loss in reports]
    os.close(writing)
    os.close(reading)
