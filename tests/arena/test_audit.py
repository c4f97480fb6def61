"""The audit's statistics: the honest pass whatever is drawn, and lies of every shape don't."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evo.arena.audit import (
    MEAN_FLOOR_NATS,
    Cuts,
    Judgement,
    blind,
    draw,
    join,
    judge,
    log_loss,
    suspicion,
)
from evo.arena.reference import Reference
from evo.arena.scoring import rows_of
from evo.corpus.corpus import Corpus, Split

ROWS, LENGTH, ITEMS = 256, 64, 256
NOISE = 4e-7
"""Nats; what equal shapes were seen to leave between two evaluations of an honest model."""


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def nats(seed: int = 1) -> NDArray[np.float32]:
    return chance(seed).gamma(2.0, 1.5, (ROWS, LENGTH)).astype(np.float32)


def answers_of(cuts: Cuts, truth: NDArray[np.float32], seed: int = 2) -> NDArray[np.float64]:
    """What an honest B says: the truth, up to the noise of equal shapes."""
    found = truth[np.maximum(cuts.rows, 0), cuts.positions].astype(np.float64)
    return found + chance(seed).normal(0, NOISE, len(found))


def judgement(
    truth: NDArray[np.float32], claims: NDArray[np.float32], seed: int = 3, items: int = ITEMS
) -> Judgement:
    cuts = draw(suspicion(claims, truth), items, chance(seed))
    return judge(cuts, claims, answers_of(cuts, truth)).judgement


@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(2, 50), st.integers(8, 64))
def test_a_sequence_is_cut_once_and_none_shows_the_answer_of_another(
    seed: int, rows: int, length: int, items: int
) -> None:
    weights = chance(seed).random((rows, length)).astype(np.float32)
    cuts = draw(weights, items, chance(seed))
    assert len(cuts.rows) == items
    asked = {
        int(row): int(position)
        for row, position, twin in zip(cuts.rows, cuts.positions, cuts.twins, strict=True)
        if row >= 0 and twin < 0
    }
    assert len(asked) == int(((cuts.rows >= 0) & (cuts.twins < 0)).sum())
    for row, position in asked.items():
        assert 0 <= position < length
        if position == length - 1:
            assert row + 1 not in asked
    repeats = np.flatnonzero(cuts.twins >= 0)
    assert len(repeats) >= 2
    originals = cuts.twins[repeats]
    assert (cuts.rows[repeats] == cuts.rows[originals]).all()
    assert (cuts.positions[repeats] == cuts.positions[originals]).all()
    assert not cuts.uniform[repeats].any()
    assert (cuts.twins[originals] == -1).all()


def test_every_position_can_be_drawn_and_the_uniform_half_draws_them_evenly() -> None:
    counts = np.zeros((16, 8))
    for seed in range(4000):
        cuts = draw(np.zeros((16, 8), np.float32), 16, chance(seed))
        taken = cuts.uniform
        counts[cuts.rows[taken], cuts.positions[taken]] += 1
    # The row after one that is cut at its end is left out now and then, so the first row of all
    # is seen a little more often than the others.
    assert counts.min() > 0.8 * counts.mean()
    assert counts.max() < 1.25 * counts.mean()


def test_what_looks_too_good_is_asked_about(corpus: Corpus) -> None:
    weights = np.zeros((ROWS, LENGTH), np.float32)
    weights[7, 3] = weights[100, 63] = 9.0
    cuts = draw(weights, 64, chance())
    asked = set(zip(cuts.rows.tolist(), cuts.positions.tolist(), strict=True))
    evenly = set(cuts.rows[cuts.uniform].tolist())
    assert (7, 3) in asked or 7 in evenly
    assert (100, 63) in asked or 100 in evenly


@given(st.integers(0, 2**32))
def test_b_sees_no_token_behind_a_cut(seed: int) -> None:
    rows = np.arange(20 * 9, dtype=np.uint16).reshape(20, 9)  # every token is another
    cuts = draw(np.ones((20, 8), np.float32), 16, chance(seed))
    junk = np.full(100, 60_000, dtype=np.uint16)
    seen = blind(cuts, rows, junk, chance(seed))
    assert seen.shape == (16, 9) and seen.dtype == rows.dtype
    for item, row in enumerate(cuts.rows):
        shown = cuts.positions[item] + 1 if row >= 0 else 0
        assert (seen[item, :shown] == rows[row, :shown]).all()
        assert (seen[item, shown:] == 60_000).all()


def test_a_twin_with_the_same_junk_is_the_same_question_and_the_other_kind_is_not() -> None:
    rows = np.zeros((64, 33), dtype=np.uint16)
    text = chance().integers(0, 60_000, 5000).astype(np.uint16)
    cuts = draw(np.ones((64, 32), np.float32), 64, chance(5))
    seen = blind(cuts, rows, text, chance(6))
    for item in np.flatnonzero(cuts.twins >= 0):
        equal = (seen[item] == seen[cuts.twins[item]]).all()
        assert equal == cuts.same_junk[item] or cuts.positions[item] > 28


def test_log_loss_is_the_log_softmax_in_float64_also_where_float32_overflows() -> None:
    logits = np.array([[1e4, 0, 0], [0, 0, 0], [-500, 500, 0]], dtype=np.float32)
    found = log_loss(logits, np.array([0, 1, 0]))
    assert found == pytest.approx([0.0, np.log(3), 1000.0])


@pytest.mark.parametrize("seed", range(50))
def test_an_honest_model_passes_whatever_is_drawn(seed: int) -> None:
    truth = nats(seed)
    claims = truth + chance(seed + 1).normal(0, NOISE, truth.shape).astype(np.float32)
    assert judgement(truth, claims, seed) is Judgement.HONEST


def test_the_gap_corrects_the_claim_without_bias() -> None:
    truth = nats()
    claims = truth - np.float32(0.5 * MEAN_FLOOR_NATS)
    cuts = draw(np.zeros_like(truth), ITEMS, chance())
    finding = judge(cuts, claims, answers_of(cuts, truth))
    assert finding.judgement is Judgement.HONEST
    assert finding.gap == pytest.approx(0.5 * MEAN_FLOOR_NATS, abs=1e-6)
    assert finding.audited == int((cuts.rows >= 0).sum())


def lies() -> dict[str, NDArray[np.float32]]:
    """Claims of every shape that a liar might choose, all of them for the same truth."""
    truth = nats()
    worst = np.argsort(-truth, axis=None)
    concentrated = truth.copy()
    concentrated.flat[worst[: truth.size // 100]] = 0.1
    few = truth.copy()
    few.flat[worst[:12]] = 0.0
    return {
        "peeking": np.full_like(truth, 0.001),
        "halved": truth * np.float32(0.5),
        "shaded a little": truth - np.float32(0.002),
        "one in a hundred": concentrated,
        "the twelve worst": few,
        "worse than true": truth + np.float32(0.3),
    }


@pytest.mark.parametrize("name", lies())
def test_a_lie_is_found(name: str) -> None:
    assert judgement(nats(), lies()[name]) is Judgement.DISHONEST


def test_a_model_that_answers_otherwise_when_asked_again_is_unsteady() -> None:
    truth = nats()
    cuts = draw(np.zeros_like(truth), ITEMS, chance())
    answers = answers_of(cuts, truth)
    answers[cuts.twins >= 0] += 0.05
    finding = judge(cuts, truth, answers)
    assert finding.judgement is Judgement.UNSTEADY
    assert "batch mates" in finding.reason


def test_a_model_that_changes_with_the_junk_alone_is_not_causal() -> None:
    truth = nats()
    cuts = draw(np.zeros_like(truth), ITEMS, chance())
    answers = answers_of(cuts, truth)
    answers[(cuts.twins >= 0) & ~cuts.same_junk] += 0.05
    finding = judge(cuts, truth, answers)
    assert finding.judgement is Judgement.DISHONEST
    assert "isn't causal" in finding.reason


def test_passes_join_into_one_with_more_positions() -> None:
    truth = nats()
    passes = []
    for seed in range(3):
        cuts = draw(np.zeros_like(truth), ITEMS, chance(seed))
        passes.append((cuts, answers_of(cuts, truth)))
    cuts, answers = join(passes)
    finding = judge(cuts, truth, answers)
    assert finding.judgement is Judgement.HONEST
    assert finding.audited == sum(int((one.rows >= 0).sum()) for one, _ in passes)
    repeats = np.flatnonzero(cuts.twins >= 0)
    assert (cuts.rows[repeats] == cuts.rows[cuts.twins[repeats]]).all()


def test_the_first_reference_is_a_bigram_model_that_beats_a_uniform_guess(corpus: Corpus) -> None:
    rows = rows_of(corpus, Split.SEARCH, 32, 2048)
    reference = Reference(rows, corpus.tokens(Split.TRAIN), corpus.vocab_size)
    assert reference.nats.shape == rows[:, 1:].shape
    assert np.isfinite(reference.nats).all()
    assert reference.nats.mean() < np.log(corpus.vocab_size)


def test_a_reference_learns_from_honest_claims(corpus: Corpus) -> None:
    rows = rows_of(corpus, Split.SEARCH, 32, 2048)
    reference = Reference(rows, corpus.tokens(Split.TRAIN), corpus.vocab_size)
    claims = np.full(rows[:, 1:].shape, 2.0, dtype=np.float32)
    reference.learn(claims)
    assert (reference.nats == 2.0).all()
    reference.learn(claims - 1)
    assert ((reference.nats > 1.0) & (reference.nats < 2.0)).all()


def test_a_model_of_thousands_of_nats_hides_no_later_lies(corpus: Corpus) -> None:
    rows = rows_of(corpus, Split.SEARCH, 32, 2048)
    reference = Reference(rows, corpus.tokens(Split.TRAIN), corpus.vocab_size)
    truth = reference.nats - np.float32(0.5)
    reference.learn(truth)
    reference.learn(np.full_like(truth, 10_000))
    lies = truth.copy()
    lies[7, 3] -= 5
    found = suspicion(lies, reference.nats)
    assert found[7, 3] > 0.9 * found.sum()
