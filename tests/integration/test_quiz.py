"""The commands that evaluate and norm quizzes."""

from __future__ import annotations

import csv
import gzip
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

import cli
from db.instrument_files import FOLDERS
from db.queries import QUERIES
from domain import ids
from tests.conftest import Shop
from training.simulation import simulate

QUIZ = FOLDERS[0] / "aclue-gifts.toml"


def quiz(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.app, ["quiz", *map(str, arguments)])


def complaint(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers of 1,200 people to the shipped quiz, as an export of a survey would have them."""
    from db.instrument_files import load

    instrument = load(QUIZ).instrument
    path = tmp_path_factory.mktemp("answers") / "answers.csv.gz"
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["person", *(item.code for item in instrument.items)])
        for number, row in enumerate(simulate(instrument, 1200, seed=3).answers):
            writer.writerow([number, *(int(value) for value in row)])
    return path


def test_a_quiz_is_evaluated_on_a_file_of_answers(answers: Path, tmp_path: Path) -> None:
    result = quiz("evaluate", answers, "--instrument", "aclue-gifts", "--short", "int-1 int-4- int-5", "--people", "3",
                  "--plots", tmp_path)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "aclue-gifts 2.0: 1,200 people" in result.stdout
    assert "int-1 int-4- int-5" in result.stdout
    assert (tmp_path / "short-forms.png").exists()


def test_norms_from_a_file_replace_the_simulated_ones(answers: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_bytes(QUIZ.read_bytes())
    made = quiz("norm", answers, "--instrument", own, "--output", tmp_path / "own.norms.json")
    assert made.exit_code == 0, made.output
    assert re.search(r"adventurous +1,200 people   alpha 0\.\d+, short form 0\.\d+", made.stdout)
    file = json.loads((tmp_path / "own.norms.json").read_text())
    assert file["method"] == "responses in answers.csv.gz"
    assert not any(norm["is_provisional"] for norm in file["traits"].values())
    assert quiz("evaluate", answers, "--instrument", own, "--people", "1").exit_code == 0


def test_simulated_norms_are_provisional(tmp_path: Path) -> None:
    made = quiz("norm", "--simulate", "600", "--instrument", "ipip-big-five", "--output", tmp_path / "norms.json")
    assert made.exit_code == 0, made.output
    file = json.loads((tmp_path / "norms.json").read_text())
    assert file["method"] == "simulation of 600 people, seed 1"
    assert all(norm["is_provisional"] for norm in file["traits"].values())


def test_what_cannot_be_done_is_said_in_a_line(answers: Path, tmp_path: Path) -> None:
    output = ("--output", tmp_path / "norms.json")
    assert "either a FILE" in complaint(quiz("evaluate", "--instrument", "aclue-gifts"))
    assert "either a FILE" in complaint(
        quiz("norm", answers, "--simulate", "9", "--instrument", "aclue-gifts", *output)
    )
    assert "norms need 500" in complaint(quiz("norm", "--simulate", "499", "--instrument", "aclue-gifts", *output))
    assert "no column" in complaint(quiz("evaluate", answers, "--instrument", "ipip-big-five"))
    assert "no item X1" in complaint(quiz("evaluate", answers, "--instrument", "aclue-gifts", "--short", "X1"))
    missing = complaint(quiz("norm", tmp_path / "none.csv", "--instrument", "aclue-gifts", *output))
    assert "No such file" in missing


async def test_retests_are_the_first_and_last_good_quiz_of_people_who_allow_it(
    shop: Shop, owner: asyncpg.Connection[Any]
) -> None:
    insert = """
        insert into public.personality_assessment_history (user_id, assessment_data, personality_scores, primary_type,
          assessment_trigger, questions_answered, assessment_quality_score, assessment_timestamp)
        values ($1, '{"version": "retest"}', jsonb_build_object('social', $2::int), 'social', 'initial', 25, $3,
          timestamptz '2026-01-01' + $4::interval)"""
    people = [ids.decode_as("Profile", await (await shop.account()).my_id()) for _ in range(3)]
    repeated = [(0, 10, 1.0, 0), (0, 99, 0.1, 10), (0, 20, 1.0, 20), (0, 30, 1.0, 30)]
    once_and_unwilling = [(1, 40, 1.0, 0), (2, 50, 1.0, 0), (2, 60, 1.0, 9)]
    for person, score, quality, day in repeated + once_and_unwilling:
        await owner.execute(insert, people[person], score, quality, timedelta(days=day))
    await owner.execute(
        "insert into public.consents (user_id, purpose, granted, policy_version) values ($1, 'analytics', false, '1')",
        people[2],
    )
    (row,) = await owner.fetch(QUERIES["retests.first_and_last"].sql, "aclue-gifts", "retest", 0.8)
    assert (json.loads(row["first"]), json.loads(row["last"])) == ({"social": 10}, {"social": 30})
    assert row["last_at"] - row["first_at"] == timedelta(days=30)
