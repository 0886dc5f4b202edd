"""Series whose changes are known: what a detector is measured on. Seeds below 1000 are for tuning, the others for tests."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Labelled:
    values: np.ndarray  # by run, in order of time; gaps are runs that are not there
    steps: tuple[tuple[int, float], ...]  # (index of the first run after it, ratio)


def autocorrelated(random, n, phi=0.7):
    """Of standard deviation 1."""
    found = np.empty(n)
    found[0] = random.standard_normal()
    kicks = random.standard_normal(n) * math.sqrt(1 - phi**2)
    for place in range(1, n):
        found[place] = phi * found[place - 1] + kicks[place]
    return found


def spikes(random, n, share=0.03):
    return np.where(random.random(n) < share, np.exp(random.uniform(0.2, 1.2, n)), 1.0)


#: The five kinds of noise: (generator, runs) -> values around 1.
NOISES = {
    "gaussian": lambda random, n: 1 + 0.03 * random.standard_normal(n),
    "lognormal": lambda random, n: np.exp(0.15 * random.standard_normal(n)),
    "spikes": lambda random, n: np.exp(0.03 * random.standard_normal(n)) * spikes(random, n),
    "bimodal": lambda random, n: np.exp(0.02 * random.standard_normal(n)) * np.where(random.random(n) < 0.3, 1.08, 1.0),
    "autocorrelated": lambda random, n: np.exp(0.03 * autocorrelated(random, n)),
}


def stepped(random, *parts, noise=0.03):
    """A series of levels: (runs, level)."""
    return np.concatenate([level * np.exp(noise * random.standard_normal(runs)) for runs, level in parts])


def labelled(seed, *, n=365):
    """A year of nightly runs: 0 to 3 steps of 5 to 100 %, noise of any kind, bursts, drift, changing variance, gaps."""
    random = np.random.default_rng(seed)
    noise = list(NOISES)[random.choice(5, p=[0.4, 0.25, 0.15, 0.1, 0.1])]
    spread = random.uniform(0.3, 1.3)  # run-to-run variation of 1 to 20 %
    logs = np.log(NOISES[noise](random, n)) * spread
    places = []
    for _ in range(random.choice(4, p=[0.35, 0.35, 0.2, 0.1])):
        place = int(random.integers(15, n - 15))
        if all(abs(place - other) >= 25 for other in places):
            places.append(place)
    steps = []
    for place in sorted(places):
        size = math.log1p(math.exp(random.uniform(math.log(0.05), 0.0)))
        size *= 1 if random.random() < 0.6 else -1
        logs[place:] += size
        steps.append((place, math.exp(size)))
    if random.random() < 0.3:  # a burst: up to five runs, and back
        place, length = int(random.integers(n - 6)), int(random.integers(1, 6))
        logs[place : place + length] += random.uniform(0.1, 0.7)
    if random.random() < 0.15:
        logs += np.linspace(0, random.uniform(-0.08, 0.08), n)
    if random.random() < 0.15:  # noisier from some day on
        place = int(random.integers(n))
        logs[place:] += (random.uniform(1.5, 2.5) - 1) * 0.03 * random.standard_normal(n - place)
    kept = np.ones(n, bool)
    if random.random() < 0.3:  # nights without a run, some of them in a row
        kept &= random.random(n) > 0.05
        place = int(random.integers(n))
        kept[place : place + int(random.integers(20))] = False
    number = np.cumsum(kept) - 1
    moved = [(int(number[place]) + (not kept[place]), ratio) for place, ratio in steps]
    return Labelled(10 * np.exp(logs[kept]), tuple(moved))


def score(found, truth, *, near=5):
    """(true positives, false positives, misses) of the steps up: found and true indexes, each used once."""
    left = list(truth)
    right = 0
    for place in sorted(found):
        match = min(left, key=lambda each: abs(each - place), default=None)
        if match is not None and abs(match - place) <= near:
            left.remove(match)
            right += 1
    return right, len(found) - right, len(left)
