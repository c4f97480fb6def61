"""A short round trip through 200 towns, by simulated annealing. This file evolves.

Run it: `python tour.py`. It prints the length of its tour; shorter is better.
"""

import math
import os
import random
import time

SECONDS = 1.0  # of search
START_HEAT = 0.05  # a detour of this length is taken with probability 1/e at first
END_HEAT = 0.02  # and of this length at the end
CHECK_EVERY = 100  # moves between two looks at the clock


def towns(count=200):
    """The same towns for everybody, in the unit square."""
    chance = random.Random(20)
    return [(chance.random(), chance.random()) for _ in range(count)]


def distance(a, b):
    return math.hypot(a[0] - b[0], a[1] - b[1])


def length(tour):
    return sum(distance(tour[i - 1], tour[i]) for i in range(len(tour)))


def first_tour(places):
    """Where the search begins."""
    return list(places)


def propose(tour, chance):
    """A move: the two ends of a stretch of the tour, first and last index."""
    i, j = sorted(chance.sample(range(1, len(tour)), 2))
    return i, j


def gain(tour, i, j):
    """How much shorter the tour gets when towns i and j change places."""
    other = list(tour)
    other[i], other[j] = other[j], other[i]
    return length(tour) - length(other)


def make(tour, i, j):
    tour[i], tour[j] = tour[j], tour[i]


def search(places, chance):
    tour = first_tour(places)
    began, heat, step = time.process_time(), START_HEAT, 0
    while True:
        if step % CHECK_EVERY == 0:
            share = (time.process_time() - began) / SECONDS
            if share >= 1:
                return tour
            heat = START_HEAT * (END_HEAT / START_HEAT) ** share
        i, j = propose(tour, chance)
        won = gain(tour, i, j)
        if won > 0 or chance.random() < math.exp(won / heat):
            make(tour, i, j)
        step += 1


if __name__ == "__main__":
    tour = search(towns(), random.Random(int(os.environ.get("EVO_SEED", "0"))))
    assert sorted(tour) == sorted(towns()), "a tour visits every town once"
    print(f"tour_length: {length(tour):.6f}")
