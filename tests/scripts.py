"""Small training scripts that keep the contract, or break it in one way each."""

BIGRAM = """
import torch
from torch import nn
from torch.nn import functional as F

from evo.arena.trainee import arena_main

CUDA = torch.cuda.is_available()
WIDTH = (16, 64)[CUDA]  # of the embedding
LR = (0.5, 0.5)[CUDA]
BATCH = (4, 16)[CUDA]  # rows


class Bigram(nn.Module):
    def __init__(self, vocab_size, scale):
        super().__init__()
        width = max(4, int(WIDTH * scale))
        self.embedding = nn.Embedding(vocab_size, width)
        self.head = nn.Linear(width, vocab_size)

    def forward(self, tokens):  # (B, T) -> (B, T, V)
        return self.head(self.embedding(tokens))


def build_model(vocab_size, sequence_len, scale):
    return Bigram(vocab_size, scale)


def train(arena):
    model = build_model(arena.vocab_size, arena.sequence_len, arena.scale).to(arena.device)
    for inputs, targets in arena.batches(BATCH):
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= LR * (1 - arena.progress) * p.grad
        arena.report(loss)
    return model


if __name__ == "__main__":
    arena_main(build_model, train)
"""


def with_train(body: str) -> str:
    """The bigram script with another body of `train`, given without indentation."""
    start, end = BIGRAM.index("def train(arena):"), BIGRAM.index('if __name__ == "__main__"')
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    return f"{BIGRAM[:start]}def train(arena):\n{lines}\n\n{BIGRAM[end:]}"


def with_forward(body: str) -> str:
    """The bigram script with another body of `forward`."""
    return BIGRAM.replace("        return self.head(self.embedding(tokens))\n", "".join(
        f"        {line}\n" for line in body.strip("\n").splitlines()))  # fmt: skip
