"""train.py: the contract that every variant of it has to keep."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from evo.arena.cell import load_module
from evo.arena.job import Job, Role
from evo.arena.preflight import SCALE, SEQUENCE_LEN, VOCAB_SIZE, run_check

TRAIN = Path(__file__).parent.parent / "train.py"
pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def train() -> ModuleType:
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("train_under_test", TRAIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(train: ModuleType) -> Any:
    """A small model whose zero-initialised matrices have been filled, so that all of it speaks."""
    torch.manual_seed(0)
    model = train.build_model(VOCAB_SIZE, SEQUENCE_LEN, 1.0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def tokens() -> Any:
    return torch.randint(0, VOCAB_SIZE, (2, SEQUENCE_LEN), generator=torch.manual_seed(1))


def test_the_past_does_not_change_with_the_future(model: Any, tokens: Any) -> None:
    changed = tokens.clone()
    changed[:, 16:] = (changed[:, 16:] + 1) % VOCAB_SIZE
    with torch.inference_mode():
        before, after = model(tokens), model(changed)
    assert torch.allclose(before[:, :16], after[:, :16], atol=1e-5)
    assert not torch.allclose(before[:, 16:], after[:, 16:], atol=1e-3)


def test_a_row_does_not_depend_on_its_batch_mates(model: Any, tokens: Any) -> None:
    with torch.inference_mode():
        together, alone = model(tokens), model(tokens[:1])
    assert torch.allclose(together[:1], alone, atol=1e-5)


def test_a_position_depends_on_the_order_of_the_past(model: Any, tokens: Any) -> None:
    swapped = tokens.clone()
    swapped[:, :2] = tokens[:, [1, 0]]
    with torch.inference_mode():
        assert not torch.allclose(model(tokens)[:, -1], model(swapped)[:, -1], atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 0.1, 0.25, 1 / 3, 0.5, 0.77, 1.0])
def test_every_scale_builds(train: ModuleType, tokens: Any, scale: float) -> None:
    logits = train.build_model(VOCAB_SIZE, SEQUENCE_LEN, scale)(tokens)
    assert logits.shape == (*tokens.shape, VOCAB_SIZE)
    assert logits.isfinite().all()


def test_predictions_are_nearly_uniform_at_first(train: ModuleType, tokens: Any) -> None:
    log_probabilities = train.build_model(VOCAB_SIZE, SEQUENCE_LEN, 1.0)(tokens).log_softmax(-1)
    uniform = torch.full_like(log_probabilities, 1 / VOCAB_SIZE).log()
    assert torch.allclose(log_probabilities, uniform, atol=0.1)


def test_the_schedule_ends_at_the_final_share(train: ModuleType) -> None:
    assert train.schedule(1.0) == pytest.approx(train.FINAL_LR)


def test_the_schedule_reaches_the_full_rate_and_the_first_step_learns(train: ModuleType) -> None:
    shares = [train.schedule(step / 200) for step in range(201)]
    assert max(shares) == pytest.approx(1.0)
    assert min(shares) > 0


def test_every_parameter_is_in_exactly_one_optimizer(train: ModuleType, model: Any) -> None:
    held = []
    for optimizer in train.optimizers_of(model):
        groups = optimizer.groups if isinstance(optimizer, train.Muon) else [optimizer.params]
        held += [id(parameter) for group in groups for parameter in group]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 64, 16), (2, 16, 64)])
def test_orthogonalized_updates_have_singular_values_around_one(
    train: ModuleType, shape: tuple[int, ...]
) -> None:
    g = torch.randn(shape, generator=torch.manual_seed(0))
    values = torch.linalg.svdvals(train.orthogonalize(g))
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_every_constant_has_a_column_for_the_cpu_and_one_for_cuda() -> None:
    tree = ast.parse(TRAIN.read_text("utf-8"))
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    columns = {
        ast.unparse(node.targets[0]): node.value
        for node in assigned
        if ast.unparse(node.targets[0]) not in ("CUDA", "F")
    }
    assert len(columns) >= 20
    for name, value in columns.items():
        assert isinstance(value, ast.Subscript), name
        assert ast.unparse(value.slice) == "CUDA", name
        pair = ast.literal_eval(value.value)
        assert len(pair) == 2, name
        assert type(pair[0]) is type(pair[1]), name


def test_it_leaves_the_seed_and_the_clock_to_the_referee() -> None:
    tree = ast.parse(TRAIN.read_text("utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & {"manual_seed", "seed", "manual_seed_all", "set_rng_state", "Generator"}
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not imported & {"random", "time", "os", "numpy"}


def test_it_passes_the_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the cell's working folder, where the source is written
    torch.manual_seed(0)
    job = Job(
        role=Role.CHECK,
        source=TRAIN.read_text("utf-8"),
        filename="train.py",
        vocab_size=VOCAB_SIZE,
        sequence_len=SEQUENCE_LEN,
        scale=SCALE,
        device="cpu",
        threads=1,
        seed=0,
    )
    run_check(load_module(job), job)


def test_nothing_that_the_rehearsal_did_stays(train: ModuleType) -> None:
    class Short:
        """An arena whose time is up before the first batch."""

        vocab_size, sequence_len, scale = VOCAB_SIZE, SEQUENCE_LEN, 1.0
        device, progress = torch.device("cpu"), 0.0

        def warm_up(self, batch_size: int, steps: int) -> Any:
            for _ in range(steps):
                rows = torch.randint(0, VOCAB_SIZE, (batch_size, SEQUENCE_LEN + 1))
                yield rows[:, :-1], rows[:, 1:]

        def batches(self, batch_size: int) -> Any:
            return iter(())

    torch.manual_seed(5)
    fresh = train.build_model(VOCAB_SIZE, SEQUENCE_LEN, 1.0).state_dict()
    torch.manual_seed(5)
    trained = train.train(Short()).state_dict()
    assert all(torch.equal(trained[name], fresh[name]) for name in fresh)
