"""Simulated answers, for norms of an instrument that nobody has answered yet. The model is documented in docs/quiz.md.

Everybody has normal traits and a tendency to agree. An answer is a cut through a normal response (the graded response
model of Samejima 1969, in its factor-analytic form): loading * trait + agreement + noise.
"""

from __future__ import annotations

import numpy as np

from domain.instruments import Instrument
from training.responses import Responses

CORRELATIONS = {
    ("adventurous", "social"): 0.25,
    ("adventurous", "creative"): 0.20,
    ("intellectual", "creative"): 0.30,
    ("adventurous", "practical"): -0.15,
    ("creative", "practical"): -0.05,
    ("intellectual", "practical"): 0.10,
    ("social", "creative"): 0.10,
}  # plausible by the Big Five's facets; other pairs have none
MEAN_LOADING, SD_LOADING = 0.67, 0.05  # gives five items an alpha of about .7
REVERSED_LOADING = 0.08  # by how much reverse-keyed items load less, as they usually do
AGREEMENT = 0.25  # the standard deviation of the tendency to agree
SD_LOCATION = 0.3  # of how easily people agree with an item
STEP = 0.85  # between the cuts, in standard deviations of the response


def simulate(instrument: Instrument, people: int, seed: int) -> Responses:
    """Complete answers of this many people. The same seed gives the same people; the items are the same with any."""
    random, of_items = np.random.default_rng(seed), np.random.default_rng(0)
    size = len(instrument.items)
    correlation = np.eye(len(instrument.traits))
    for pair, value in CORRELATIONS.items():
        if set(pair) <= set(instrument.traits):
            i, j = (instrument.traits.index(trait) for trait in pair)
            correlation[i, j] = correlation[j, i] = value
    traits = random.standard_normal((people, len(instrument.traits))) @ np.linalg.cholesky(correlation).T
    agreement = AGREEMENT * random.standard_normal((people, 1))
    is_reversed = np.array([item.is_reversed for item in instrument.items])
    loadings = of_items.normal(MEAN_LOADING, SD_LOADING, size).clip(0.3, 0.85) - REVERSED_LOADING * is_reversed
    locations = of_items.normal(0, SD_LOCATION, size)
    own = traits[:, [instrument.traits.index(item.trait) for item in instrument.items]]
    noise = random.standard_normal((people, size)) * np.sqrt(1 - loadings**2)
    response = np.where(is_reversed, -1, 1) * loadings * own + agreement + noise + locations
    options = instrument.highest - instrument.lowest + 1
    cuts = STEP * (np.arange(1, options) - options / 2)
    return Responses(instrument.lowest + np.digitize(response, cuts).astype(np.float64))
