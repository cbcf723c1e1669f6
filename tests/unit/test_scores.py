"""The scores by which trained models rank: the formula, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from training import content, events, rankings
from training.rankings import Model, Serving, scores
from training.signals import Signals, known
from training.slim import KINDS, Table

SERVING = Serving({"first": 0.75, "few": 0.5, "many": 1.0}, 1.5, 10.0)


def model(serving: Serving = SERVING) -> Model:
    """Four products, of which the first two have weights to the third, and two a category."""
    weights = sparse.csr_matrix(np.array([[0, 0, 0.3, 0], [0, 0, 0.1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]))
    table = Table(weights, np.array([0.2, 0.4, 0.1, 0.0]))
    return Model(
        dict.fromkeys(KINDS, table),
        content.make(["a", None, None, "a"], [None] * 4, [["x"], [], ["x", "y"], ["y"]]),
        serving,
    )


def signals(*rows: tuple[int, float, float]) -> Signals:
    """Of one person: product, value and age."""
    products, values, ages = (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.zeros(0)] * 3
    return Signals(np.zeros(len(rows), np.int64), products.astype(np.int64), values, ages, 1, 4)


def test_without_signals_the_biases_rank() -> None:
    (found,) = scores(model(), signals())
    assert found == pytest.approx(0.5 + 0.5 * 0.75 * np.array([0.5, 1, 0.25, 0]))


def test_likes_add_by_strength_and_age_and_dislikes_only_through_content() -> None:
    rows = (0, 0.95, 10.0), (1, 0.2, 0.0)
    (found,) = scores(model(), signals(*rows))
    added = 0.3 * 1.5 * 0.5
    learned = np.array([0.2, 0.4, 0.1 + added, 0]) / (0.4 + added)
    liked = 0.5 * 0.9 / (0.5 + 2)  # one super-like, halved by its age
    preferred = np.array([0.5 * liked + 0.3 * liked, 0, 0.3 * liked / 2, 0.5 * liked])
    assert found == pytest.approx(0.5 + 0.5 * (0.75 * learned + 0.25 * preferred))


def test_a_dislike_counts_as_much_as_was_chosen_for_the_table() -> None:
    counting = replace(SERVING, blend=dict.fromkeys(KINDS, 1.0), dislike={"first": 0.5, "few": 0.0, "many": 0.0})
    dislikes = [(1, 0.2, 10.0)]
    (found,) = scores(model(counting), signals(*dislikes))
    added = 0.1 * 0.5 * 0.5
    assert found == pytest.approx(0.5 + 0.5 * np.array([0.2, 0.4, 0.1 + added, 0]) / (0.4 + added))
    four = signals(*dislikes, *[(3, 0.2, 0.0)] * 3)
    assert scores(model(counting), four)[0] == pytest.approx(0.5 + 0.5 * np.array([0.5, 1, 0.25, 0]))


def test_only_the_larger_half_of_the_weights_of_a_dislike_counts() -> None:
    """Somebody with few likes is served by 100 weights of each, and by 50 of each dislike."""
    row = np.concatenate([np.linspace(1, 0.01, 100), [0.0]])
    weights = sparse.csr_matrix(np.vstack([np.zeros((100, 101)), row]))
    table = Table(weights, np.zeros(101))
    ranked = Model(dict.fromkeys(KINDS, table), content.none(101), replace(SERVING, dislike=dict.fromkeys(KINDS, 1.0)))
    one = np.zeros(1, np.int64), np.array([100])
    liked, disliked = (Signals(*one, np.array([value]), np.zeros(1), 1, 101) for value in (0.8, 0.2))
    assert [(scores(ranked, said)[0] > 0.5).sum() for said in (liked, disliked)] == [100, 50]


def test_the_table_and_the_blend_are_those_of_the_number_of_signals() -> None:
    three, four = (signals(*[(3, 0.2, 0.0)] * count) for count in (3, 4))
    (first,), (few,) = scores(model(), three), scores(model(), four)
    assert first[1] == pytest.approx(0.5 + 0.5 * 0.75)
    assert few[1] == pytest.approx(0.5 + 0.5 * 0.5)


def test_a_personality_counts_as_much_as_five_signals() -> None:
    suits = np.array([[1.0, -1.0, 0.0, 0.5]])
    assert scores(model(), signals(), suits) == pytest.approx(0.5 + 0.5 * suits)
    five = signals(*[(3, 0.2, 0.0)] * 5)
    without = scores(model(), five)
    assert scores(model(), five, suits) == pytest.approx(0.5 * without + 0.5 * (0.5 + 0.5 * suits))


def test_a_super_like_outweighs_the_personality_as_two_signals_do() -> None:
    suits = np.array([[1.0, -1.0, 0.0, 0.5]])
    said = signals((3, 0.95, 0.0), (3, 0.2, 0.0), (3, 0.2, 0.0), (3, 0.2, 0.0))
    assert scores(model(), said, suits) == pytest.approx(0.5 * scores(model(), said) + 0.5 * (0.5 + 0.5 * suits))


def test_people_are_scored_alike_together_and_alone() -> None:
    random = np.random.default_rng(1)
    people = np.sort(random.integers(0, 6, 40))
    rows = [random.integers(0, 4, 40), random.choice([0.2, 0.8, 0.95], 40), random.uniform(0, 99, 40)]
    together = Signals(people, *rows, 6, 4)
    found = scores(model(), together)
    for person in range(6):
        assert scores(model(), together.of_people(person, person + 1))[0] == pytest.approx(found[person])


def test_equal_scores_are_ranked_by_product() -> None:
    flat = replace(model(), content=content.none(4), serving=replace(SERVING, half_life=None))
    history = events.make([("a", 3, 0.8, 1.0, 0)], 4)
    tables = dict.fromkeys(KINDS, Table(sparse.csr_matrix((4, 4)), np.array([0.1, 0.1, 0.2, 0.1])))
    (ranks,) = rankings.rank(rankings.scorer(replace(flat, tables=tables)), history, None)
    assert ranks.tolist() == [2, 0, 1, 3]


def test_nothing_learned_and_nothing_known_scores_one_half() -> None:
    tables = dict.fromkeys(KINDS, Table(sparse.csr_matrix((4, 4)), np.zeros(4)))
    assert scores(replace(model(), tables=tables), signals()).tolist() == [[0.5] * 4]


def test_signals_are_as_old_as_on_the_day_of_the_last_one() -> None:
    history = events.make([("a", 0, 0.8, 1, 10), ("a", 1, 0.2, 1, 14), ("a", 2, 0.8, 1, 30), ("b", 0, 0.8, 1, 2)], 4)
    found = known(history, 2)
    assert found.ages.tolist() == [4, 0, 0]
    assert found.counts().tolist() == [2, 1]
    assert known(history, 0).counts().tolist() == [0, 0]
    assert known(history, None).ages.tolist() == [20, 16, 0, 0]
