"""The genome: a small GPT and how it is trained. This is the file that evolves.

`python train.py` trains it once, within the time budget, and prints its validation bits per byte.
The data, the clock, the seed and the score are the arena's; everything else is here.
"""

import copy

import torch
from torch import nn

from evo.arena.trainee import arena_main

F = nn.functional
CUDA = torch.cuda.is_available()  # picks the column of every constant: (CPU, CUDA)

# The model.
DEPTH = (2, 8)[CUDA]  # transformer blocks
HEADS = (2, 4)[CUDA]  # attention heads; the model is HEADS * HEAD_DIM wide
HEAD_DIM = (32, 128)[CUDA]  # even, for the rotation works on pairs
MLP_RATIO = (4.0, 4.0)[CUDA]  # hidden units of the MLP for each unit of width
ROPE_BASE = (10000.0, 10000.0)[CUDA]  # longest wavelength of the rotary positions, in 2 pi tokens
EMBED_STD = (1.0, 1.0)[CUDA]  # the stream is normalised at once, so this only tempers EMBED_LR
PAIRS = (0, 8)[CUDA]  # hashed table of the last two tokens, times the vocabulary; 0 is none
SMEAR = (0.0, 0.3)[CUDA]  # how much of the token before each position sees at first; 0 is off
VALUE_EVERY = (0, 2)[CUDA]  # every so many blocks has a table of values of its own; 0 is none
SOFTCAP = (0.0, 15.0)[CUDA]  # smooth bound on the logits; 0 is none
MATRIX_STD = (0.8, 0.8)[CUDA]  # of the input projections, times 1 / sqrt(fan in)
HEAD_STD = (0.001, 0.001)[CUDA]  # nearly uniform predictions at first: the loss starts at ln V

# The optimizers: Muon for the matrices inside the blocks, Adam for everything else.
BATCH_SIZE = (4, 64)[CUDA]  # sequences a step
MATRIX_LR = (0.02, 0.02)[CUDA]  # Muon's; spectral norm of an update
EMBED_LR = (0.2, 0.3)[CUDA]  # rows are rarely touched, and each must get somewhere
HEAD_LR = (0.01, 0.005)[CUDA]  # unembedding
SCALAR_LR = (0.02, 0.02)[CUDA]  # gains and biases, where a model has them
WEIGHT_DECAY = (0.0, 0.2)[CUDA]  # Muon's, decoupled, times the learning rate; fades with it
MOMENTUM = (0.95, 0.95)[CUDA]  # Muon's
NS_STEPS = (5, 5)[CUDA]  # Newton-Schulz iterations; fewer are cheaper and less orthogonal
BETA1 = (0.8, 0.8)[CUDA]  # Adam's momentum
BETA2 = (0.95, 0.95)[CUDA]  # Adam's second moment: short, for the runs are short
GRAD_CLIP = (0.0, 0.0)[CUDA]  # norm of all gradients together; 0 is off

# The schedule, in shares of the time budget.
WARM_UP = (0.02, 0.0)[CUDA]  # from zero to the full learning rate
WARM_DOWN = (0.5, 0.5)[CUDA]  # from the full rate to the final one, linearly
FINAL_LR = (0.05, 0.01)[CUDA]  # share of the full rate that is left at the end
REHEARSALS = (1, 3)[CUDA]  # steps before the clock starts: compilation and lazy initialisation


class Linear(nn.Linear):
    """No bias; float32 weights, cast to the dtype of the stream at each use."""

    def __init__(self, fan_in, fan_out, std):
        super().__init__(fan_in, fan_out, bias=False)
        nn.init.normal_(self.weight, std=std) if std else nn.init.zeros_(self.weight)

    def forward(self, x):  # (..., fan_in) -> (..., fan_out)
        return F.linear(x, self.weight.to(x.dtype))


class Norm(nn.Module):
    """RMSNorm without a gain: the matrix behind it can learn one."""

    def __init__(self, width):
        super().__init__()
        self.shape = (width,)

    def forward(self, x):  # (..., width)
        return F.rms_norm(x, self.shape, eps=1e-6)  # bfloat16's own epsilon is large


class Rotary(nn.Module):
    """Turns pairs of channels by an angle that grows with the position."""

    def __init__(self, sequence_len, head_dim):
        super().__init__()
        rate = ROPE_BASE ** (-torch.arange(0, head_dim, 2) / head_dim)  # (D/2,) radians a token
        angle = torch.outer(torch.arange(sequence_len), rate)[:, None]  # (T, 1, D/2)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x):  # (B, T, H, D)
        cos, sin = self.cos[: x.size(1)].to(x.dtype), self.sin[: x.size(1)].to(x.dtype)
        a, b = x.chunk(2, dim=-1)  # (B, T, H, D/2) each
        return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1)


class Attention(nn.Module):
    """Causal self-attention with rotary positions and normalised queries and keys.

    Values that were looked up by token are added to its own, through a gate for each head.
    """

    def __init__(self, width, sequence_len, gated):
        super().__init__()
        std = MATRIX_STD * width**-0.5
        self.q = Linear(width, width, std)
        self.k = Linear(width, width, std)
        self.v = Linear(width, width, std)
        self.out = Linear(width, width, 0.0)  # zero: each block starts as the identity
        self.rotary = Rotary(sequence_len, HEAD_DIM)
        self.norm = Norm(HEAD_DIM)
        self.gate = Linear(width, width // HEAD_DIM, 0.0) if gated else None

    def forward(self, x, values):  # (B, T, C); (B, T, C) or None
        q, k, v = (
            project(x).unflatten(-1, (-1, HEAD_DIM))  # (B, T, H, D)
            for project in (self.q, self.k, self.v)
        )
        if values is not None:
            gate = 2 * self.gate(x).sigmoid()  # (B, T, H), 1 at first
            v = v + gate[..., None] * values.view_as(v)
        q, k = self.norm(self.rotary(q)), self.norm(self.rotary(k))
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True
        )  # (B, H, T, D)
        return self.out(y.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two matrices with a squared ReLU between them (So et al. 2021)."""

    def __init__(self, width):
        super().__init__()
        hidden = 8 * round(MLP_RATIO * width / 8)  # tensor cores like multiples of eight
        self.up = Linear(width, hidden, MATRIX_STD * width**-0.5)
        self.down = Linear(hidden, width, 0.0)

    def forward(self, x):  # (B, T, C)
        return self.down(F.relu(self.up(x)).square())


class Block(nn.Module):
    """Attention, then the MLP, each beside the residual stream and normalised before."""

    def __init__(self, width, sequence_len, gated):
        super().__init__()
        self.norm1, self.attention = Norm(width), Attention(width, sequence_len, gated)
        self.norm2, self.mlp = Norm(width), MLP(width)

    def forward(self, x, values):  # (B, T, C); (B, T, C) or None
        x = x + self.attention(self.norm1(x), values)
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Embedding, blocks, head."""

    def __init__(self, vocab_size, sequence_len, depth, width):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.embed.weight, std=EMBED_STD)
        if PAIRS:
            self.pairs = nn.Embedding(PAIRS * vocab_size, width)
            nn.init.zeros_(self.pairs.weight)  # pairs that were never seen say nothing
        self.norm_in = Norm(width)
        if SMEAR:
            self.smear = nn.Parameter(torch.full((width,), SMEAR))
        gated = [VALUE_EVERY > 0 and (depth - 1 - i) % VALUE_EVERY == 0 for i in range(depth)]
        self.blocks = nn.ModuleList(Block(width, sequence_len, g) for g in gated)
        self.values = nn.ModuleList(nn.Embedding(vocab_size, width) if g else None for g in gated)
        for table in filter(None, self.values):
            nn.init.normal_(table.weight, std=width**-0.5)
        self.norm_out = Norm(width)
        self.head = Linear(width, vocab_size, HEAD_STD)

    def stem(self, tokens):  # (B, T) -> (B, T, C)
        x = self.embed(tokens)
        if PAIRS:
            before = F.pad(tokens, (1, -1))  # the token before; 0 comes first
            x = x + self.pairs((1009 * tokens + 9176 * before) % self.pairs.num_embeddings)
        x = x.bfloat16() if x.is_cuda else x  # and so is all that follows, up to the logits
        x = self.norm_in(x)
        if SMEAR:
            x = x + self.smear.to(x.dtype) * F.pad(x, (0, 0, 1, -1))  # zeros come first
        return x

    def forward(self, tokens):  # (B, T) -> (B, T, V)
        x = self.stem(tokens)

        for block, table in zip(self.blocks, self.values, strict=True):
            x = block(x, None if table is None else table(tokens).to(x.dtype))

        logits = self.head(self.norm_out(x)).float()
        return SOFTCAP * torch.tanh(logits / SOFTCAP) if SOFTCAP else logits


def build_model(vocab_size, sequence_len, scale):
    """The model with fresh weights; `scale` shrinks its depth and its width."""
    depth, heads = max(1, round(scale * DEPTH)), max(1, round(scale * HEADS))
    return GPT(vocab_size, sequence_len, depth, heads * HEAD_DIM)


def orthogonalize(g):  # (N, m, n)
    """The nearest semi-orthogonal matrices, roughly: singular values land around 1.

    A quintic Newton-Schulz iteration with the coefficients of Muon (Jordan et al. 2024).
    """
    tall = g.size(1) > g.size(2)
    x = g.mT if tall else g  # the small side first: its Gram matrix is the cheaper one
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = x.bfloat16() if x.is_cuda else x
    for _ in range(NS_STEPS):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


class Muon:
    """Nesterov momentum, orthogonalised; matrices of one shape are updated as one batch."""

    def __init__(self, params):
        shapes = {p.shape for p in params}
        self.groups = [[p for p in params if p.shape == shape] for shape in sorted(shapes)]
        self.velocities = [torch.zeros_like(torch.stack(group)) for group in self.groups]

    def step(self, share):
        for group, velocity in zip(self.groups, self.velocities, strict=True):
            g = torch.stack([p.grad for p in group])  # (N, m, n)
            velocity.lerp_(g, 1 - MOMENTUM)
            update = orthogonalize(g.lerp(velocity, MOMENTUM))
            lr = share * MATRIX_LR * max(1, g.size(1) / g.size(2)) ** 0.5  # a tall one has less
            update = (lr * update).to(g.dtype)
            if WEIGHT_DECAY:  # only where the update shrinks a weight too (Chen et al. 2025)
                weights = torch.stack(group)
                update += lr * share * WEIGHT_DECAY * weights * (update * weights > 0)
            torch._foreach_sub_(group, list(update))


class Adam:
    """For one kind of parameters (Kingma and Ba 2015)."""

    def __init__(self, params, lr):
        self.params, self.lr, self.t = params, lr, 0
        self.m = [torch.zeros_like(p) for p in params]
        self.v = [torch.zeros_like(p) for p in params]

    def step(self, share):
        self.t += 1
        g = [p.grad for p in self.params]
        torch._foreach_lerp_(self.m, g, 1 - BETA1)
        torch._foreach_mul_(self.v, BETA2)
        torch._foreach_addcmul_(self.v, g, g, 1 - BETA2)
        rms = torch._foreach_sqrt(self.v)
        torch._foreach_div_(rms, (1 - BETA2**self.t) ** 0.5)
        torch._foreach_add_(rms, 1e-10)
        lr = share * self.lr / (1 - BETA1**self.t)
        torch._foreach_addcdiv_(self.params, self.m, rms, -lr)


def optimizers_of(model):
    """Every parameter in exactly one optimizer, by what it is."""
    embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
    head = [model.head.weight]
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    taken = {id(p) for p in embeddings + head + matrices}
    rest = [p for p in model.parameters() if id(p) not in taken]

    groups = [(embeddings, EMBED_LR), (head, HEAD_LR), (rest, SCALAR_LR)]
    return [Muon(matrices), *(Adam(params, lr) for params, lr in groups if params)]


def schedule(progress):
    """Share of the full learning rate at a share of the budget."""
    up = min(1.0, (progress + 1e-3) / WARM_UP) if WARM_UP else 1.0  # the first step counts too
    down = min(1.0, (1.0 - progress) / WARM_DOWN) if WARM_DOWN else 1.0
    return up * (FINAL_LR + (1.0 - FINAL_LR) * down)


def train(arena):
    """Trains a model until the arena's time is up; a rehearsal on random tokens comes first."""
    model = build_model(arena.vocab_size, arena.sequence_len, arena.scale).to(arena.device)
    fresh = copy.deepcopy(model.state_dict())

    def loss_of(inputs, targets):  # (B, T) each -> ()
        logits = model(inputs)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    if arena.device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32 for what is left in float32
        loss_of = torch.compile(loss_of, dynamic=False)

    for rehearsal in (True, False):
        model.load_state_dict(fresh)  # what the rehearsal did is forgotten, momentum too
        optimizers = optimizers_of(model)
        stream = arena.warm_up(BATCH_SIZE, REHEARSALS) if rehearsal else arena.batches(BATCH_SIZE)
        for inputs, targets in stream:
            loss = loss_of(inputs, targets)
            loss.backward()
            if GRAD_CLIP:
                nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
            with torch.no_grad():
                for optimizer in optimizers:
                    optimizer.step(schedule(arena.progress))
            model.zero_grad()
            if not rehearsal:
                arena.report(loss.detach())
    return model


if __name__ == "__main__":
    arena_main(build_model, train)
