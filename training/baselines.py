"""What the recommender is compared with."""

from __future__ import annotations

import importlib

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.rankings import Scorer
from training.signals import Signals

EASE_REGULARISATION = 200.0
NEIGHBOURS = 100
SHRINKAGE = 10.0
ALS_FACTORS, ALS_REGULARISATION, ALS_ALPHA, ALS_ITERATIONS = 64, 0.05, 10.0, 15


def popularity(likes: sparse.csr_matrix) -> Scorer:
    """Everybody gets the most liked products."""
    counts = np.asarray(likes.sum(axis=0), np.float64).ravel()
    return lambda signals: np.tile(counts, (signals.people_count, 1))


def item_knn(likes: sparse.csr_matrix) -> Scorer:
    """The shrunk cosine of co-likes (Sarwar and others 2001), the 100 nearest of each product."""
    counts = np.asarray(likes.sum(axis=0), np.float64).ravel()
    co_likes = (likes.T @ likes).toarray().astype(np.float32)
    np.fill_diagonal(co_likes, 0)
    co_likes /= (np.sqrt(np.outer(counts, counts)) + SHRINKAGE).astype(np.float32)
    if len(counts) > NEIGHBOURS:
        least = np.partition(co_likes, -NEIGHBOURS, axis=0)[-NEIGHBOURS]
        co_likes[co_likes < least] = 0
    return _dense(co_likes, counts)


def ease(likes: sparse.csr_matrix) -> Scorer:
    """EASE (Steck 2019): the dense linear model in closed form; needs the inverse of a products x products matrix."""
    counts = np.asarray(likes.sum(axis=0), np.float64).ravel()
    gram = (likes.T @ likes).toarray().astype(np.float32)
    gram[np.diag_indices_from(gram)] += EASE_REGULARISATION
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return _dense(weights, counts)


def als(likes: sparse.csr_matrix) -> Scorer:
    """Matrix factorisation for implicit feedback (Hu, Koren and Volinsky 2008), by the package implicit, which has to
    be installed. Factors of people are computed from their likes."""
    model = importlib.import_module("implicit.als").AlternatingLeastSquares(
        factors=ALS_FACTORS,
        regularization=ALS_REGULARISATION,
        alpha=ALS_ALPHA,
        iterations=ALS_ITERATIONS,
        random_state=1,
        num_threads=1,
    )
    model.fit(likes.astype(np.float32), show_progress=False)

    def score(signals: Signals) -> NDArray[np.float64]:
        known = signals.likes().astype(np.float32)
        people = model.recalculate_user(np.arange(known.shape[0]), known)
        return np.asarray(people @ model.item_factors.T, np.float64)

    return score


def _dense(weights: NDArray[np.float32], counts: NDArray[np.float64]) -> Scorer:
    """Scores by weights; popularity decides between equals."""
    tie = 1e-9 * counts / max(counts.max(), 1.0)
    return lambda signals: np.asarray(signals.likes() @ weights, np.float64) + tie
