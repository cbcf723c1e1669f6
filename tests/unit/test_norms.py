"""Norms from many people's answers, and the simulation behind the provisional ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db import instrument_files
from domain.instruments import norms_from_json, norms_to_json, with_norms
from domain.personality import interpolate, score
from tests.instruments import CORRELATION, EXAMPLE, PER_TRAIT
from training import norms
from training.norms import TooFewPeople
from training.responses import BadResponses, Responses, read
from training.simulation import simulate

PEOPLE = simulate(EXAMPLE, 4000, seed=5)
NORMS = norms.estimate(EXAMPLE, PEOPLE, is_provisional=True)


def test_estimated_norms_fit_the_instrument_and_survive_json() -> None:
    assert norms_from_json(EXAMPLE, norms_to_json(EXAMPLE, NORMS, "simulation")) == NORMS
    assert all(norm.is_provisional and norm.n == 4000 for norm in NORMS.values())


def test_percentiles_are_midranks_of_the_sample() -> None:
    instrument = with_norms(EXAMPLE, NORMS)
    scores = [score(instrument, PEOPLE.of(EXAMPLE, person), None).scores["social"].percentile for person in range(400)]
    raw = norms.raw_scores(EXAMPLE.of("social"), PEOPLE.keyed(EXAMPLE, "social"))
    for person in range(0, 400, 40):
        share = 100 * ((raw < raw[person]).mean() + (raw == raw[person]).mean() / 2)
        assert scores[person] == pytest.approx(share, abs=0.01)
    assert np.mean(scores) == pytest.approx(50, abs=4)


def test_a_table_ends_at_the_extremes_whether_observed_or_not() -> None:
    assert norms.midranks(np.array([2.0, 3.0, 3.0, 4.0]), 1, 5) == (
        (1.0, 0.0), (2.0, 12.5), (3.0, 50.0), (4.0, 87.5), (5.0, 100.0),
    )  # fmt: skip


def test_many_different_scores_make_a_bounded_table() -> None:
    table = norms.midranks(np.random.default_rng(1).uniform(1, 5, 3000), 1, 5)
    assert 300 < len(table) <= 401
    assert interpolate(table, 3.0) == pytest.approx(50, abs=3)


def test_alpha_of_parallel_items_is_that_of_their_correlation() -> None:
    random = np.random.default_rng(2)
    common = random.standard_normal((50_000, 1)) * CORRELATION**0.5
    keyed = common + random.standard_normal((50_000, PER_TRAIT)) * (1 - CORRELATION) ** 0.5
    expected = PER_TRAIT * CORRELATION / (1 + (PER_TRAIT - 1) * CORRELATION)
    assert norms.alpha_of(EXAMPLE.of("social"), keyed) == pytest.approx(expected, abs=0.01)


def test_errors_of_measurement_are_those_of_the_definition() -> None:
    norm = NORMS["social"].full
    error = norm.sd * (1 - norm.alpha) ** 0.5
    at = norm.percentiles[len(norm.percentiles) // 2]
    above, below = (interpolate(norm.percentiles, at[0] + sign * error) for sign in (1, -1))
    assert interpolate(norm.errors, at[1]) == pytest.approx((above - below) / 2, abs=1e-5)


@pytest.mark.parametrize("spread", [3.0, 12.0])
def test_stated_deviations_cover_68_percent_and_are_the_standard_deviation_of_normal_ones(spread: float) -> None:
    random = np.random.default_rng(3)
    short = random.integers(1, 20, 30_000) * 5.0
    table = norms.deviations(short, short + random.normal(0, spread, 30_000))
    assert [error for _, error in table] == pytest.approx([spread] * 19, rel=0.08)


def test_the_deviation_of_the_short_form_covers_68_percent_of_other_people() -> None:
    instrument, others = with_norms(EXAMPLE, NORMS), simulate(EXAMPLE, 1000, seed=6)
    near = []
    for person in range(1000):
        answers = others.of(EXAMPLE, person)
        whole = score(instrument, answers, None).scores["adventurous"]
        short = score(instrument, {c: a for c, a in answers.items() if c in EXAMPLE.short_form}, None)
        part = short.scores["adventurous"]
        near.append(abs(part.percentile - whole.percentile) <= part.standard_error)
    assert np.mean(near) == pytest.approx(0.68, abs=0.05)


def test_the_model_of_other_subsets_covers_at_least_68_percent() -> None:
    """Their error is that of the full form if the deviation is smaller, so it covers more."""
    instrument, others = with_norms(EXAMPLE, NORMS), simulate(EXAMPLE, 600, seed=7)
    kept = {item.code for item in EXAMPLE.items if item.code not in ("adv-1", "adv-4")}
    near = []
    for person in range(600):
        answers = others.of(EXAMPLE, person)
        whole = score(instrument, answers, None).scores["adventurous"]
        part = score(instrument, {c: a for c, a in answers.items() if c in kept}, None).scores["adventurous"]
        near.append(abs(part.percentile - whole.percentile) <= part.standard_error)
    assert 0.63 <= np.mean(near) <= 0.85


def test_people_who_left_an_item_out_do_not_count_for_its_trait() -> None:
    answers = PEOPLE.answers.copy()
    answers[:1000, 0] = np.nan
    estimated = norms.estimate(EXAMPLE, Responses(answers), is_provisional=False)
    assert (estimated["adventurous"].n, estimated["social"].n) == (3000, 4000)


def test_too_few_people_give_no_norms() -> None:
    with pytest.raises(TooFewPeople, match="499 people answered all items of adventurous; norms need 500"):
        norms.estimate(EXAMPLE, Responses(PEOPLE.answers[:499]), is_provisional=False)


def test_an_item_that_everybody_answers_alike_gives_no_norms() -> None:
    answers = PEOPLE.answers.copy()
    answers[:, 0] = 3
    with pytest.raises(TooFewPeople, match="everybody gave the same answer to adv-1"):
        norms.estimate(EXAMPLE, Responses(answers), is_provisional=False)


def test_the_simulation_repeats_itself_and_its_items_do_not_depend_on_the_seed() -> None:
    assert np.array_equal(simulate(EXAMPLE, 50, 1).answers, simulate(EXAMPLE, 50, 1).answers)
    first, second = (simulate(EXAMPLE, 20_000, seed).answers.mean(axis=0) for seed in (1, 2))
    assert np.abs(first - second).max() < 0.05


def test_the_shipped_norms_are_those_of_the_simulation() -> None:
    path = instrument_files.find("aclue-gifts")
    assert path is not None
    shipped = instrument_files.load(path).instrument
    again = norms.estimate(shipped, simulate(shipped, 20_000, 1), is_provisional=True)
    for trait, norm in shipped.norms.items():
        assert norm.is_provisional
        assert norm.full.alpha == pytest.approx(again[trait].full.alpha, abs=0.01)
        for raw, percentile in norm.full.percentiles:
            assert interpolate(again[trait].full.percentiles, raw) == pytest.approx(percentile, abs=0.5)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


CODES = [item.code for item in EXAMPLE.items]


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_what_is_no_answer_is_missing(tmp_path: Path, delimiter: str) -> None:
    rows = [
        ["age", *reversed(CODES)],
        ["30", *["4"] * 20],
        ["31", "0", "", "6", "x", "5", "2.0", *["1"] * 14],
        ["32", "3"],
        ["33", *["0"] * 20],
    ]
    found = read(write(tmp_path / "answers", "\n".join(delimiter.join(row) for row in rows)), EXAMPLE)
    assert len(found.answers) == 3  # nobody without any answer
    assert np.isnan(found.answers).sum(axis=1).tolist() == [0, 4, 19]
    assert found.of(EXAMPLE, 1)[CODES[-5]] == 5
    assert found.of(EXAMPLE, 1)[CODES[-6]] == 2
    assert found.of(EXAMPLE, 2) == {CODES[-1]: 3}


@pytest.mark.parametrize(
    ("why", "text"),
    [
        ("the file is empty", ""),
        ("no column for the items adv-1,", "age\n30\n"),
        ("1 people answered anything", ",".join(CODES) + "\n" + ",".join(["3"] * 20)),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, why: str, text: str) -> None:
    with pytest.raises(BadResponses, match=why):
        read(write(tmp_path / "answers.csv", text), EXAMPLE)


def test_the_halves_share_nobody_and_depend_on_the_seed_alone() -> None:
    numbered = Responses(np.arange(1001, dtype=float).reshape(-1, 1))
    a, b = numbered.split(1)
    assert sorted([*a.answers.ravel(), *b.answers.ravel()]) == list(range(1001))
    assert np.array_equal(a.answers, numbered.split(1)[0].answers)
    assert not np.array_equal(a.answers, numbered.split(2)[0].answers)


def test_keys_turn_reversed_answers() -> None:
    reverse = replace(EXAMPLE.items[0], is_reversed=True)
    instrument = replace(EXAMPLE, items=(reverse, *EXAMPLE.items[1:]))
    assert np.array_equal(6 - PEOPLE.keyed(EXAMPLE, "adventurous")[:, 0], PEOPLE.keyed(instrument, "adventurous")[:, 0])
