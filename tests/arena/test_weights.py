"""Weights: out of one model and into another of the same kind, bit for bit; tied ones once."""

import pytest
import torch
from safetensors.torch import load
from torch import nn

from evo.arena.weights import pack, unpack


class Tied(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(8, width)
        self.head = nn.Linear(width, 8, bias=False)
        self.head.weight = self.embed.weight
        self.gain = nn.Parameter(torch.randn(width).bfloat16())
        self.steps: torch.Tensor
        self.register_buffer("steps", torch.tensor(3))
        self.register_buffer("angles", torch.randn(5), persistent=False)


def packed(model: nn.Module) -> bytes:
    size, parts = pack(model)
    made = b"".join(bytes(part) for part in parts)
    assert len(made) == size
    return made


def test_weights_survive_the_way_and_tied_ones_stay_tied() -> None:
    one, other = Tied(), Tied()
    unpack(packed(one), other)
    assert torch.equal(other.embed.weight, one.embed.weight)
    assert other.head.weight is other.embed.weight
    assert torch.equal(other.gain, one.gain)
    assert other.steps == 3
    assert not torch.equal(other.angles, one.angles)


def test_the_bytes_are_a_safetensors_file_with_each_tensor_once() -> None:
    model = Tied()
    found = load(packed(model))
    assert set(found) == {"embed.weight", "gain", "steps"}
    assert torch.equal(found["gain"], model.gain)


def test_a_compiled_model_hands_in_the_names_of_what_it_wraps() -> None:
    model = Tied()
    wrapped = nn.Module()
    wrapped._orig_mod = model
    fresh = Tied()
    unpack(packed(wrapped), fresh)
    assert torch.equal(fresh.gain, model.gain)


@pytest.mark.parametrize(
    ("model", "words"),
    [(nn.Linear(4, 8), "on one side only"), (Tied(width=6), "gain was trained as")],
)
def test_weights_of_another_model_are_refused_by_name(model: nn.Module, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        unpack(packed(model), Tied())


def test_bytes_cut_short_are_refused() -> None:
    with pytest.raises(Exception, match=r"."):
        unpack(packed(Tied())[:-3], Tied())
