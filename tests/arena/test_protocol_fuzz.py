"""Cells that speak nonsense: whatever comes of it, the referee says what it saw and goes on.

The other side is a real process that draws its messages from a seed: many that are well formed and
senseless, then one that isn't. It never reads what it is sent.
"""

import numpy as np
import pytest

from evo.arena.examination import Questions
from evo.arena.job import Job, Role
from evo.arena.rules import EndedError, Nobody, Rules, fault
from evo.arena.training import Tally, Training
from evo.arena.wire import Frame, Kind
from evo.corpus.corpus import Corpus
from evo.nouns import Clock
from evo.sandbox.sandbox import Cell, Limits, OpenSandbox, adopt_orphans

RULES = Rules(
    budget_seconds=20.0,
    clock=Clock.WALL,
    device="cpu",
    sequence_len=32,
    scale=1.0,
    score_tokens=2048,
    score_rows=16,
    startup_seconds=20.0,
    scoring_seconds=20.0,
    memory_mb=500,
    weights_mb=1,
)

TALKER = r"""
import json, math, os, random, struct, sys

chance = random.Random(int(sys.argv[1]))
messages, scorer = int(sys.argv[2]), sys.argv[3] == "scorer"
ORDER, REPORT, STATS, WEIGHTS, ANSWER, FAULT, DONE = 2, 5, 6, 7, 8, 9, 10

def send(kind, body, length=None):
    view = struct.pack("<BQ", kind, len(body) if length is None else length) + body
    while view:
        view = view[os.write(1, view):]

def number():
    return chance.choice([0.0, -1.0, 1e29, -1e29, 5e-324, chance.uniform(-9, 9)])

def said(kind):
    if chance.random() < 0.2:
        return b'{"kind": ' + b"[" * 2000
    return json.dumps(chance.choice([
        {}, [], None, "x", {"kind": "crashed"}, {"kind": "", "text": 3}, {"parameters": -1},
        {"parameters": 2**70}, {"device_memory_mb": 1e400}, {"kind": kind, "text": "\x1b[2J\ud800"},
    ])).encode()

def polite():
    if scorer:
        one = number() if chance.random() < 0.9 else math.nan
        return send(ANSWER, struct.pack("<f", one) * SIZE)
    kind = chance.choice([REPORT, REPORT, REPORT, STATS, WEIGHTS])
    if kind == REPORT:
        send(REPORT, struct.pack("<Id", chance.getrandbits(32), number()))
    elif kind == STATS:
        send(STATS, chance.choice([said("x"), chance.randbytes(chance.randrange(99))]))
    else:
        send(WEIGHTS, chance.randbytes(chance.randrange(300)))

def rude():
    kind = chance.randrange(9)
    if kind == 0:
        send(chance.randrange(256), chance.randbytes(chance.randrange(40)))
    elif kind == 1:
        send(chance.choice([ORDER, REPORT, WEIGHTS, ANSWER, FAULT]), b"", 2 ** chance.randrange(64))
    elif kind == 2:
        os.write(1, chance.randbytes(chance.randrange(1, 99)))
    elif kind == 3:
        send(REPORT, struct.pack("<Id", 1, chance.choice([math.nan, math.inf, -math.inf])))
    elif kind == 4:
        send(ORDER, struct.pack("<I", chance.choice([0, 2**31, 2**32 - 1])))
    elif kind == 5:
        send(FAULT, chance.choice([said("refused"), chance.randbytes(50)]))
    elif kind == 6:
        send(REPORT, chance.randbytes(chance.randrange(12)))
    elif kind == 7:
        for _ in range(5000):
            send(ORDER, struct.pack("<I", 1))
    # else it only goes

SIZE = 16 * (32 + int(sys.argv[4]))
if not scorer:
    send(ORDER, struct.pack("<I", 1))
for _ in range(messages):
    polite()
rude()
"""


@pytest.fixture(scope="module", autouse=True)
def _adopting() -> None:
    adopt_orphans()


def talker(seed: int, messages: int, what: str, vocab_size: int) -> Cell:
    return OpenSandbox().start(
        ["python", "talker.py", str(seed), str(messages), what, str(vocab_size)],
        limits=Limits(memory_mb=500),
        threads=1,
        files={"talker.py": TALKER},
    )


def job(corpus: Corpus) -> Job:
    return Job(
        role=Role.TRAIN,
        source="",
        filename="train.py",
        vocab_size=corpus.vocab_size,
        sequence_len=32,
        scale=1.0,
        device="cpu",
        threads=1,
        seed=0,
        budget_seconds=RULES.budget_seconds,
    )


def train_with(corpus: Corpus, seed: int, messages: int) -> str:
    cell = talker(seed, messages, "trainee", corpus.vocab_size)
    training = Training(job(corpus), RULES, corpus, cell, lambda: None, Nobody(), Tally())
    try:
        with training:
            weights = training.run()
    except EndedError as ended:
        return ended.cause
    assert len(weights) < 300
    return ""


def test_last_words_nested_without_end_make_no_sense() -> None:
    ended = fault(Frame(Kind.FAULT, bytearray(b'{"kind": ' + b"[" * 60_000)))
    assert "its last words make no sense" in ended.cause


@pytest.mark.parametrize("seed", range(16))
def test_a_trainee_that_speaks_nonsense_is_survived(corpus: Corpus, seed: int) -> None:
    cause = train_with(corpus, seed, 1000)
    assert "\n" not in cause and "\x1b" not in cause


@pytest.mark.slow
def test_a_hundred_thousand_messages_of_trainees_are_survived(corpus: Corpus) -> None:
    causes = [train_with(corpus, 1000 + seed, 1000) for seed in range(110)]
    assert len(set(causes)) > 5  # they failed in different ways, and each was told apart


@pytest.mark.parametrize("seed", range(8))
def test_a_scorer_that_speaks_nonsense_is_survived(corpus: Corpus, seed: int) -> None:
    questions = Questions(RULES, job(corpus), bytearray(b"x"), corpus.vocab_size, Nobody())
    tokens = np.zeros((64, 33), dtype=np.uint16)
    places = np.zeros(64, dtype=np.int64)
    cell = talker(seed, seed % 4, "scorer", corpus.vocab_size)
    with pytest.raises(EndedError) as ended:
        questions.all_of(cell, tokens, places, np.zeros(64, dtype=np.int64))
    assert "\x1b" not in ended.value.cause
