"""Weights of mappings from the survey: what counts as evidence, and how liking depends on lean times weight."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from training.evidence import (
    Calibration,
    calibrate,
    correlate,
    propose,
    read_weights,
    write_links,
    write_proposals,
)
from training.interest_report import evidence_lines, lines
from training.interests import Interest, Survey, evaluate, read_interests

PEOPLE = 800
CATALOGUE = Path(__file__).parents[2] / "catalogue"
REFERENCE = CATALOGUE / "reference"
INTERESTS = CATALOGUE / "instruments" / "young-people-interests.csv"


def made(ratings: dict[str, np.ndarray], bold: np.ndarray, gender: np.ndarray, others: int = 60) -> Survey:
    """A survey of one trait, with an interest per gift category of the same name, and others that go with nothing."""
    random = np.random.default_rng(8)
    noise = {f"other{number}": 3 + random.normal(0, 1, PEOPLE) for number in range(others)}
    names = [*ratings, *noise]
    table = np.clip(np.round(np.column_stack([*ratings.values(), *noise.values()])), 1, 5)
    keyed = {"bold": np.column_stack([bold, bold + random.normal(0, 0.3, PEOPLE)])}
    return Survey(("bold",), tuple(Interest(name, (name,)) for name in names), keyed, bold[:, None], table, gender)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.fixture
def gender(random: np.random.Generator) -> np.ndarray:
    return np.where(random.random(PEOPLE) < 0.5, 1.0, -1.0)


def test_an_interest_that_goes_with_a_trait_becomes_a_row(random: np.random.Generator, gender: np.ndarray) -> None:
    bold = random.normal(0, 1, PEOPLE)
    survey = made({"climbing": 3 + 0.5 * bold + random.normal(0, 1, PEOPLE)}, bold, gender)
    (row,) = propose(survey)
    assert (row.trait, row.category, row.evidence) == ("bold", "climbing", "high")
    assert row.weight == 1
    assert row.confidence > 0.9


def test_a_trait_that_a_person_of_either_gender_has_alike_says_nothing(
    random: np.random.Generator, gender: np.ndarray
) -> None:
    """Women and men differ in trait and interest, but within a gender the two do not go together."""
    bold = gender + random.normal(0, 1, PEOPLE)
    survey = made({"cars": 3 + gender + random.normal(0, 1, PEOPLE)}, bold, gender)
    (cars,) = (link for link in correlate(survey) if link.interest == "cars")
    assert cars.r > 0.3
    assert cars.lower < 0 < cars.upper
    assert propose(survey) == []


def test_liking_everything_is_no_preference(random: np.random.Generator, gender: np.ndarray) -> None:
    bold = random.normal(0, 1, PEOPLE)
    alike = {f"thing{number}": 3 + 0.6 * bold + random.normal(0, 1, PEOPLE) for number in range(40)}
    survey = made(alike, bold, gender, others=0)
    assert all(link.r > 0.3 for link in correlate(survey))
    assert propose(survey) == []


def test_a_scale_whose_items_do_not_go_together_gives_no_high_evidence(
    random: np.random.Generator, gender: np.ndarray
) -> None:
    bold = random.normal(0, 1, PEOPLE)
    survey = made({"climbing": 3 + 0.5 * bold + random.normal(0, 1, PEOPLE)}, bold, gender)
    survey.keyed["bold"] = random.normal(0, 1, (PEOPLE, 2))
    assert [row.evidence for row in propose(survey)] == ["medium"]


def test_the_slope_is_found_from_people_who_were_held_out(random: np.random.Generator, gender: np.ndarray) -> None:
    bold = random.uniform(-1, 1, PEOPLE)
    chances = 1 / (1 + np.exp(-(-0.5 + 2.0 * bold)))
    survey = made({"climbing": np.where(random.random(PEOPLE) < chances, 5.0, 1.0)}, bold, gender)
    found: Calibration = calibrate(survey, {})
    effective = propose(survey)[0].effective
    assert found.lower < 2.0 / effective < found.upper + 0.3
    assert found.groups[-1].observed > found.groups[-1].base
    assert found.groups[0].observed < found.groups[0].base


def test_weights_that_say_nothing_have_no_slope(random: np.random.Generator, gender: np.ndarray) -> None:
    bold = random.normal(0, 1, PEOPLE)
    survey = made({"climbing": 3 + random.normal(0, 1, PEOPLE)}, bold, gender)
    found = calibrate(survey, {("bold", "climbing"): 0.8, ("bold", "other1"): -0.8})
    assert found.lower < 0 < found.upper


def test_known_findings_of_the_survey_are_found(young_people: Survey) -> None:
    """Correlations that were published for this project before the key existed, within their sampling error."""
    found = {(link.trait, link.interest): link.r for link in correlate(young_people)}
    for trait, interest, r in (
        ("social", "Adrenaline sports", 0.32),
        ("social", "Active sport", 0.30),
        ("practical", "Finances", 0.26),
        ("practical", "Theatre", 0.18),
    ):
        assert found[trait, interest] == pytest.approx(r, abs=0.075)


def test_liking_rises_with_lean_times_weight(young_people: Survey) -> None:
    """The slope that docs/interests.md states."""
    found = calibrate(young_people, {})
    assert found.lower > 0.5
    beyond = [group.observed - group.base for group in found.groups]
    assert beyond[0] < -0.03
    assert beyond[-1] > 0.03


def test_shipped_evidence_is_what_the_survey_says(young_people: Survey, tmp_path: Path) -> None:
    write_links(tmp_path / "evidence.csv", correlate(young_people))
    write_proposals(tmp_path / "evidence_mappings.csv", propose(young_people))
    for name in ("evidence.csv", "evidence_mappings.csv"):
        assert (tmp_path / name).read_text() == (REFERENCE / name).read_text()


def rows(name: str) -> dict[tuple[str, str], dict[str, str]]:
    with (REFERENCE / name).open(newline="") as file:
        return {(row["trait"], row["category"]): row for row in csv.DictReader(file)}


def test_shipped_mappings_follow_the_evidence_where_there_is_some() -> None:
    mappings = rows("mappings.csv")
    for key, row in rows("evidence_mappings.csv").items():
        assert {name: mappings[key][name] for name in ("weight", "evidence", "confidence")} == {
            name: row[name] for name in ("weight", "evidence", "confidence")
        }, key


def test_interests_speak_for_categories_of_the_taxonomy() -> None:
    with (REFERENCE / "taxonomy.csv").open(newline="") as file:
        known = {row["slug"] for row in csv.DictReader(file)}
    named = {slug for interest in read_interests(INTERESTS) for slug in interest.categories}
    assert named
    assert named <= known


def test_weights_are_read_as_ranking_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "mappings.csv"
    path.write_text("category,trait,weight,evidence,confidence\nbooks,social,-0.5,medium,0.9\n")
    assert read_weights(path) == {("social", "books"): pytest.approx(-0.36)}


def test_tables_show_both_comparisons_and_the_slope() -> None:
    gender = np.where(np.arange(PEOPLE) % 2, 1.0, -1.0)
    random = np.random.default_rng(5)
    bold = random.normal(0, 1, PEOPLE)
    survey = made({"climbing": 3 + 0.5 * bold + random.normal(0, 1, PEOPLE)}, bold, gender, others=30)
    shown = "\n".join(lines(survey, evaluate(survey)))
    assert "800 people, 31 interests" in shown
    assert [line.split()[0] for line in shown.splitlines()[-5:]] == ["0", "1", "3", "5", "10"]
    found = "\n".join(evidence_lines(propose(survey), calibrate(survey, {})))
    assert "climbing" in found
    assert "log-odds of a rating of 4 or 5" in found
