"""Forging the number: models that lie, peek, learn or break while they are scored.

Each is examined in real cells, by the same examiner that scores every trial, and must be called
what it is. The honest twin of each has the same weights and passes.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from evo.arena.examination import Examiner
from evo.arena.job import Job, Role
from evo.arena.referee import COMMAND
from evo.arena.rules import EndedError, Nobody, Rules
from evo.arena.waiting import Cells
from evo.arena.weights import pack
from evo.corpus.corpus import Corpus, Split
from evo.nouns import Clock, Status, Verdict
from evo.sandbox.sandbox import Limits, OpenSandbox, adopt_orphans
from tests.scripts import BIGRAM, with_forward

pytestmark = pytest.mark.torch

RULES = Rules(
    budget_seconds=1.0,
    clock=Clock.CPU,
    device="cpu",
    sequence_len=32,
    scale=1.0,
    score_tokens=4096,
    score_rows=32,
    startup_seconds=60.0,
    scoring_seconds=60.0,
    memory_mb=1500,
    weights_mb=16,
)


@pytest.fixture(scope="module", autouse=True)
def _adopting() -> None:
    adopt_orphans()


def weights_of(source: str, corpus: Corpus) -> bytearray:
    """Weights of an untrained model of the honest script, always the same."""
    module = ModuleType("honest")
    exec(source, module.__dict__)
    torch.manual_seed(0)
    _, parts = pack(module.build_model(corpus.vocab_size, 32, 1.0))
    return bytearray(b"".join(bytes(part) for part in parts))


def examine(
    corpus: Corpus, source: str, rules: Rules = RULES, passes: int = 1, trained: str = BIGRAM
) -> Verdict:
    job = Job(
        role=Role.TRAIN,
        source=source,
        filename="train.py",
        vocab_size=corpus.vocab_size,
        sequence_len=rules.sequence_len,
        scale=1.0,
        device="cpu",
        threads=1,
        seed=0,
    )
    sandbox, limits = OpenSandbox(), Limits(memory_mb=rules.memory_mb)
    with Cells(lambda: sandbox.start(COMMAND, limits=limits, threads=1)) as cells:
        return Examiner(corpus, rules).examine(
            cells, job, weights_of(trained, corpus), Split.SEARCH, passes, Nobody()
        )


def outcome(
    corpus: Corpus, source: str, rules: Rules = RULES, trained: str = BIGRAM
) -> tuple[Status, str]:
    """What the referee would call it, and why."""
    try:
        verdict = examine(corpus, source, rules, trained=trained)
    except EndedError as ended:
        return ended.status, ended.cause
    return (Status.SCORED if verdict.honest else Status.DISHONEST), verdict.reason


HONEST = {
    "a bigram model": BIGRAM,
    "in bfloat16": BIGRAM.replace(
        "return Bigram(vocab_size, scale)", "return Bigram(vocab_size, scale).bfloat16()"
    ).replace(
        "        return self.head(self.embedding(tokens))",
        "        return self.head(self.embedding(tokens)).float()",
    ),
    "with a window over the past": with_forward(
        "x = self.embedding(tokens)\n"
        "return self.head(x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None])"
    ),
    "that draws numbers of its own": with_forward(
        "torch.rand(3)\nreturn self.head(self.embedding(tokens))"
    ),
}


def first_quickly(names: Iterable[str], count: int = 1) -> list[Any]:
    """Each takes two processes that load torch: all but the first are for the slow tests."""
    return [
        pytest.param(name, marks=[] if number < count else pytest.mark.slow)
        for number, name in enumerate(names)
    ]


@pytest.mark.parametrize("name", first_quickly(HONEST))
def test_an_honest_model_passes_and_its_claim_stands(corpus: Corpus, name: str) -> None:
    verdict = examine(corpus, HONEST[name])
    assert verdict.honest, verdict.reason
    assert verdict.worst_nats < 1e-4
    assert verdict.audited == pytest.approx(verdict.claimed, abs=1e-5)
    assert verdict.positions > 100


@pytest.mark.slow
def test_a_deeper_audit_asks_about_more_positions(corpus: Corpus) -> None:
    shallow, deep = examine(corpus, BIGRAM), examine(corpus, BIGRAM, passes=3)
    assert deep.honest
    assert deep.positions > 2.5 * shallow.positions
    assert deep.claimed == shallow.claimed


PLAIN = "y = self.head(self.embedding(tokens))\n"
PATCH = """
import torch.nn.functional as patched
honest_loss = patched.cross_entropy
def cross_entropy(logits, targets, **more):
    nll = honest_loss(logits, targets, **more)
    return FORGE
patched.cross_entropy = cross_entropy
"""


def patching(forge: str) -> str:
    """A script whose scorer's loss is replaced by an expression of `nll`, `logits`, `targets`."""
    return BIGRAM.replace("class Bigram", PATCH.replace("FORGE", forge) + "\n\nclass Bigram")


FORGERIES = {
    "looks at the next token": with_forward(
        PLAIN + "y[:, :-1].scatter_(2, tokens[:, 1:, None], 20.0)\nreturn y"
    ),
    "looks at the next token a little": with_forward(
        PLAIN + "y[:, :-1].scatter_add_(2, tokens[:, 1:, None], torch.full_like(y, 0.3))\nreturn y"
    ),
    "averages over the whole sequence": with_forward(
        "x = self.embedding(tokens)\nreturn self.head(x + x.mean(1, keepdim=True))"
    ),
    "takes the targets off the stack": with_forward(
        "import sys\n"
        "frame = sys._getframe(1)\n"
        "while frame and 'body' not in frame.f_locals:\n    frame = frame.f_back\n"
        + PLAIN
        + "targets = frame.f_locals['tokens'][:, 1:]\n"
        "y.scatter_(2, targets[..., None], 20.0)\nreturn y"
    ),
    "claims nothing but zeros": patching("nll * 0"),
    "claims a little less each": patching("nll - 0.002"),
    "claims half": patching("nll / 2"),
    "claims too much": patching("nll + 0.5"),
    "lies where it is worst": patching("torch.where(nll > nll.quantile(0.98), 0.5 * nll, nll)"),
    "lies about one token in twenty": patching(
        "torch.where(torch.rand_like(nll) < 0.05, nll - 3, nll)"
    ),
    "claims more than certainty": patching("nll - 50"),
    "claims by another temperature": patching("honest_loss(logits * 1.3, targets, **more)"),
    "learns the text while it is scored": with_forward(
        "with torch.inference_mode(False), torch.enable_grad():\n"
        "    seen = tokens.clone()\n"
        "    head = torch.nn.Linear(self.head.in_features, self.head.out_features)\n"
        "    head.load_state_dict(self.head.state_dict())\n"
        "    x = self.embedding.weight.detach().clone()[seen]\n"
        "    loss = F.cross_entropy(head(x[:, :-1]).flatten(0, 1), seen[:, 1:].flatten())\n"
        "    [grad] = torch.autograd.grad(loss, [head.weight])\n"
        "self.head.weight.data = self.head.weight.data.clone() - 5.0 * grad\n"
        "return self.head(self.embedding(tokens))"
    ),
    "writes its own answers to the pipe": BIGRAM.replace(
        "class Bigram",
        "import evo.arena.scorer as scorer\n"
        "honest_write = scorer.write_frame\n"
        "def write_frame(outbound, kind, nats, logits):\n"
        "    honest_write(outbound, kind, bytes(nats.nbytes), logits)\n"
        "scorer.write_frame = write_frame\n\n\nclass Bigram",
    ),
    "forges its logits too": BIGRAM.replace(
        "class Bigram",
        "import numpy as np\nimport evo.arena.scorer as scorer\n"
        "honest_write = scorer.write_frame\n"
        "def write_frame(outbound, kind, nats, logits):\n"
        "    sure = np.asarray(logits).copy()\n"
        "    sure[:, 3] = 90\n"
        "    honest_write(outbound, kind, bytes(nats.nbytes), memoryview(sure))\n"
        "scorer.write_frame = write_frame\n\n\nclass Bigram",
    ),
    "is honest only where it is asked": with_forward(
        "import sys\n"
        "frame = sys._getframe(1)\n"
        "while frame and 'places' not in frame.f_locals:\n    frame = frame.f_back\n"
        + PLAIN
        + "honest = y[torch.arange(len(y)), frame.f_locals['places']].clone()\n"
        "y[:, :-1].scatter_(2, tokens[:, 1:, None], 20.0)\n"
        "y[torch.arange(len(y)), frame.f_locals['places']] = honest\n"
        "return y"
    ),
}


ALWAYS = {
    "looks at the next token",
    "takes the targets off the stack",
    "claims a little less each",
    "lies where it is worst",
    "learns the text while it is scored",
    "forges its logits too",
    "is honest only where it is asked",
}
"""The others are tried by the slow tests."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=[] if one in ALWAYS else pytest.mark.slow) for one in FORGERIES],
)
def test_a_forgery_is_called_dishonest(corpus: Corpus, name: str) -> None:
    status, cause = outcome(corpus, FORGERIES[name])
    # A model that changes while it is scored gets no score either way.
    steady = status is Status.DISHONEST
    assert steady or "asked before" in cause, (status, cause)
    assert cause and "\n" not in cause


UNSTEADY = {
    "its batch mates": "x = self.embedding(tokens)\nreturn self.head(x + x.mean(0, keepdim=True))",
    "how often it was asked": (
        "self.calls = getattr(self, 'calls', 0) + 1\n" + PLAIN + "return y * (1 + self.calls / 9)"
    ),
    "chance": PLAIN + "return y + torch.randn_like(y)",
}


@pytest.mark.parametrize("name", first_quickly(UNSTEADY))
def test_a_model_whose_answers_depend_on_something_else_is_refused_with_that_reason(
    corpus: Corpus, name: str
) -> None:
    status, cause = outcome(corpus, with_forward(UNSTEADY[name]))
    assert status is Status.CRASHED
    assert "depend on its batch mates, or on what it was asked before" in cause


BROKEN = {
    "answers NaN": ("return self.head(self.embedding(tokens)) * float('nan')", "nan: "),
    "answers infinity": (PLAIN + "y[..., 0] = float('inf')\nreturn y", "nan: "),
    "is lost": ("return self.head(self.embedding(tokens)) * 1e5", "it diverged: "),
    "answers the wrong shape": (PLAIN + "return y[:, :-1]", "another shape"),
    "raises with words of the text": (
        "raise ValueError(f'secret {tokens.tolist()}')",
        "what it printed there isn't kept",
    ),
    "exits": ("import os\nos._exit(0)", "without an answer"),
    "speaks garbage": (
        "import os, sys\n"
        "frame = sys._getframe(1)\n"
        "while 'outbound' not in frame.f_locals:\n    frame = frame.f_back\n"
        "os.write(frame.f_locals['outbound'], b'x' * 99)\n" + PLAIN + "return y",
        "broke the protocol",
    ),
    "fills the memory": (
        "kept = []\nwhile True:\n    kept.append(torch.ones(2**24))", "out of memory"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", first_quickly(BROKEN, 3))
def test_a_model_that_breaks_while_it_is_scored_has_no_score_and_tells_nothing(
    corpus: Corpus, name: str
) -> None:
    forward, words = BROKEN[name]
    status, cause = outcome(corpus, with_forward(forward))
    assert status in (Status.CRASHED, Status.OUT_OF_MEMORY)
    assert words in cause
    assert "secret" not in cause


def test_a_model_that_never_answers_is_timed_out(corpus: Corpus) -> None:
    slow = with_forward("while True:\n    pass")
    status, cause = outcome(corpus, slow, replace(RULES, scoring_seconds=4.0))
    assert (status, cause) == (Status.TIMED_OUT, "scoring took more than 4 s")


def test_a_model_that_never_takes_its_weights_is_timed_out(corpus: Corpus) -> None:
    """They are more than the pipe holds, and whoever writes them mustn't wait for ever."""
    wide = BIGRAM.replace("WIDTH = (16,", "WIDTH = (1024,")
    deaf = "import sys, time\nif 'evo.arena.scorer' in sys.modules:\n    time.sleep(600)\n"
    status, cause = outcome(corpus, wide + deaf, replace(RULES, scoring_seconds=4.0), wide)
    assert (status, cause) == (Status.TIMED_OUT, "scoring took more than 4 s")


def test_a_model_that_trains_on_while_it_is_scored_is_refused(corpus: Corpus) -> None:
    """Its weights hold the text of the stream; that time would be on no clock."""
    learning = with_forward(
        "import time\n"
        "began = time.process_time()\n"
        "while not hasattr(self, 'ready') and time.process_time() - began < 6:\n    pass\n"
        "self.ready = True\n"
        "return self.head(self.embedding(tokens))"
    )
    status, cause = outcome(corpus, learning)
    assert status is Status.TIMED_OUT
    assert "its first answer took" in cause


@pytest.mark.parametrize(
    "compiled",
    [
        "return torch.compile(model, dynamic=False)",
        pytest.param("model.compile(fullgraph=True)\n    return model", marks=pytest.mark.slow),
        pytest.param(
            "model.forward = torch.compile(fullgraph=True)(model.forward)\n    return model",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_compiled_model_is_scored_without_compiling_it(corpus: Corpus, compiled: str) -> None:
    """Not even the compiler is loaded: that would be most of what a first answer may take."""
    source = BIGRAM.replace(
        "    return Bigram(vocab_size, scale)",
        f"    model = Bigram(vocab_size, scale)\n    {compiled}",
    ).replace(
        "        return self.head(self.embedding(tokens))",
        "        import sys\n        assert 'torch._dynamo' not in sys.modules\n"
        "        return self.head(self.embedding(tokens))",
    )
    assert examine(corpus, source).honest


@pytest.fixture
def notes() -> Iterator[Path]:
    """A folder that any user may write to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_the_call_is_the_same_for_both_scorers(corpus: Corpus, notes: Path) -> None:
    """A script that writes down all it is told finds no difference but the text itself."""
    spying = with_forward(
        "import os, sys\n"
        "frame = sys._getframe(1)\n"
        "while 'job' not in frame.f_locals:\n    frame = frame.f_back\n"
        f"with open('{notes}/' + str(os.getpid()), 'a') as file:\n"
        "    print(tuple(tokens.shape), frame.f_locals['job'], sorted(os.environ), file=file)\n"
        "return self.head(self.embedding(tokens))"
    )
    assert examine(corpus, spying).honest
    a, b = [path.read_text() for path in notes.iterdir()]
    assert a == b
