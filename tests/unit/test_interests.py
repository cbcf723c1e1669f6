"""Ranking interests by traits: the metric, the model, the comparison, and the real survey."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path

import numpy as np
import pytest

from domain.instruments import Instrument, parse
from training import interests
from training.interests import Interest, Model, Survey, compare, evaluate, leans, ndcg, read_interests, read_survey

INSTRUMENTS = Path(__file__).parents[2] / "catalogue" / "instruments"
INTERESTS = read_interests(INSTRUMENTS / "young-people-interests.csv")


def instrument() -> Instrument:
    return parse(tomllib.loads((INSTRUMENTS / "young-people-survey.toml").read_text())).instrument


def made(people: int, effect: float, seed: int = 3) -> Survey:
    """A survey in which `effect` is how far a trait moves the ratings of its interests."""
    random = np.random.default_rng(seed)
    traits = ("bold", "calm")
    means = random.normal(3, 0.6, (people, 2))
    pull = random.normal(0, 1, (2, 16))
    taste = random.normal(0, 1, (people, 2)) @ random.normal(0, 0.6, (2, 16))
    ratings = 3 + random.normal(0, 0.4, 16) + effect * (means - 3) @ pull + taste
    ratings += random.normal(0, 0.5, ratings.shape)
    gender = np.where(np.arange(people) % 2, 1.0, -1.0)
    names = tuple(Interest(f"interest {number}", ()) for number in range(16))
    keyed = {trait: np.repeat(means[:, [i]], 2, axis=1) for i, trait in enumerate(traits)}
    return Survey(traits, names, keyed, means, np.clip(np.round(ratings), 1, 5), gender)


def test_a_ranking_by_the_ratings_themselves_is_perfect_and_the_reverse_is_not() -> None:
    ratings = np.array([[5.0, 1, 3, 2, 4, 1, 1, 2, 3, 1, 4, 5, 1]])
    candidates = np.ones(ratings.shape, dtype=bool)
    assert ndcg(ratings, ratings, candidates) == pytest.approx(1)
    assert ndcg(-ratings, ratings, candidates)[0] < 0.3


def test_gains_are_graded_and_discounted() -> None:
    ratings = np.array([[3.0, 2.0]])  # gains 3 and 1
    found = ndcg(np.array([[0.0, 1.0]]), ratings, np.ones((1, 2), dtype=bool))
    discount = 1 / np.log2(3)
    assert found == pytest.approx((1 + 3 * discount) / (3 + 1 * discount))


def test_what_is_no_candidate_neither_takes_a_place_nor_counts() -> None:
    ratings = np.array([[5.0, 4.0, np.nan]])
    candidates = np.array([[False, True, False]])
    assert ndcg(np.array([[9.0, 0.0, 5.0]]), ratings, candidates) == pytest.approx(1)


def test_leans_are_mid_ranks_among_other_people() -> None:
    norm = np.array([[1.0], [2.0], [2.0], [3.0]])
    assert leans(norm, np.array([[2.0], [0.0], [9.0]])).ravel() == pytest.approx([0, -1, 1])


def test_a_known_answer_moves_what_goes_with_it_by_the_regression() -> None:
    random = np.random.default_rng(1)
    first = random.normal(3, 1, 4000)
    ratings = np.column_stack([first, 3 + 0.5 * (first - 3) + random.normal(0, 0.3, 4000)])
    features = np.zeros((4000, 1))
    model = Model.fit(features, ratings, 1.0, 0.0)
    seen = model.predict(features[:1], np.array([[5.0, np.nan]]), np.array([[0]]), 0.0)
    assert seen[0] == pytest.approx([5, 4], abs=0.05)


def test_a_share_of_nothing_ignores_the_features() -> None:
    survey = made(60, 1.0)
    model = Model.fit(survey.means, survey.ratings, 3.0, 0.0)
    none = np.zeros((60, 0), dtype=np.intp)
    assert np.ptp(model.predict(survey.means, survey.ratings, none, 0.0), axis=0) == pytest.approx(0)


def test_a_comparison_pairs_people() -> None:
    first = np.random.default_rng(1).uniform(0.2, 0.9, 200)
    better = compare("better", first, first * 1.05, 1)
    assert (better.difference, better.lower, better.upper) == pytest.approx((0.05, 0.05, 0.05))


def test_traits_that_matter_are_found_and_weigh_less_with_each_answer() -> None:
    report = evaluate(made(240, 1.2))
    assert report.alone[0].lower > 0
    assert report.blend[0].difference > report.blend[-1].difference
    assert report.pull[0] > report.pull[2] > report.pull[4]


def test_traits_that_say_nothing_do_no_harm() -> None:
    survey = made(240, 0.0)
    report = evaluate(survey)
    assert report.alone[0].lower < 0.01
    assert all(row.second > row.first - 0.01 for row in report.blend)


def test_the_same_seed_gives_the_same_figures() -> None:
    survey = made(80, 1.0)
    assert evaluate(survey, 5) == evaluate(survey, 5)


def test_no_interest_is_an_item_and_there_are_67() -> None:
    codes = {item.code for item in instrument().items}
    names = [interest.name for interest in INTERESTS]
    assert len(names) == len(set(names)) == 67
    assert not codes & set(names)


def test_a_file_without_a_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("Flying,Storm\n1,2\n")
    with pytest.raises(ValueError, match=r"other.csv is not the Young People Survey: it has no column Darkness"):
        read_survey(path, instrument(), INTERESTS)


def answers(path: Path, *rows: dict[str, str]) -> Survey:
    """A file in which everybody answers 3 except for what is given."""
    names = [item.code for item in instrument().items] + [interest.name for interest in INTERESTS]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(dict.fromkeys(names, "3") | row for row in rows)
    return read_survey(path, instrument(), INTERESTS)


def test_answers_off_the_scale_count_as_missing(tmp_path: Path) -> None:
    survey = answers(tmp_path / "survey.csv", {"Opera": "9", "Pets": "0"}, {"Opera": ""}, {})
    opera, pets = ([i.name for i in INTERESTS].index(name) for name in ("Opera", "Pets"))
    assert np.isnan(survey.ratings[:, opera]).tolist() == [True, True, False]
    assert np.isnan(survey.ratings[:, pets]).tolist() == [True, False, False]


def test_people_who_answered_too_little_are_left_out(tmp_path: Path) -> None:
    creative = [item.code for item in instrument().of("creative")]
    survey = answers(
        tmp_path / "survey.csv", {}, dict.fromkeys(creative, ""), dict.fromkeys([i.name for i in INTERESTS], "")
    )
    assert len(survey.ratings) == len(survey.means) == len(survey.gender) == 1


def test_reversed_items_count_from_the_other_end(tmp_path: Path) -> None:
    fearless = {item.code: "1" if item.is_reversed else "5" for item in instrument().of("adventurous")}
    survey = answers(tmp_path / "survey.csv", fearless)
    assert survey.means[0].tolist() == [5, 3, 3, 3, 3]


def test_items_are_keyed_in_the_direction_of_their_trait(young_people: Survey) -> None:
    """Each trait's items go together; the figures are in the key file and in docs/interests.md."""
    found = {trait: round(alpha, 2) for trait, alpha in young_people.alphas().items()}
    assert found == {"adventurous": 0.77, "intellectual": 0.48, "practical": 0.59, "creative": 0.47, "social": 0.7}


@pytest.mark.long
def test_traits_alone_beat_popularity_and_never_harm_the_blend(young_people: Survey) -> None:
    report = evaluate(young_people)
    traits = report.alone[0]
    assert traits.difference >= 0.03
    assert traits.lower > 0
    assert [row.second - row.first >= -0.005 for row in report.blend] == [True] * len(interests.KNOWN)
