"""`aclue quiz evaluate --interests`."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from commands.interests import INTERESTS, SURVEY
from db.instrument_files import find, load
from tests.integration.test_quiz import complaint, quiz
from training.interests import read_interests

BOLD = ("adventurous", "Adrenaline sports")


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers of 120 people, whose liking of adrenaline sports follows their fears."""
    key = find(SURVEY)
    assert key
    random = np.random.default_rng(2)
    fears = [item.code for item in load(key).instrument.of("adventurous") if item.is_reversed]
    names = [item.code for item in load(key).instrument.items] + [row.name for row in read_interests(INTERESTS)]
    path = tmp_path_factory.mktemp("survey") / "survey.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*names, "Gender"])
        writer.writeheader()
        for number in range(120):
            row = dict(zip(names, map(int, random.integers(1, 6, len(names))), strict=True))
            bold = int(random.integers(1, 6))
            row |= dict.fromkeys(fears, 6 - bold) | {"Adrenaline sports": bold}
            writer.writerow(row | {"Gender": ("female", "male")[number % 2]})
    return path


def test_rankings_evidence_and_calibration_are_printed_and_saved(survey: Path, tmp_path: Path) -> None:
    result = quiz("evaluate", survey, "--interests", "--evidence", tmp_path)
    assert result.exit_code == 0, result.output
    assert "120 people, 67 interests" in result.stdout
    assert "traits beyond gender" in result.stdout
    assert "log-odds of a rating of 4 or 5" in result.stdout
    with (tmp_path / "evidence_mappings.csv").open(newline="") as file:
        rows = {(row["trait"], row["category"]): float(row["weight"]) for row in csv.DictReader(file)}
    assert rows["adventurous", "adventure-days"] == 1
    with (tmp_path / "evidence.csv").open(newline="") as file:
        (found,) = (row for row in csv.DictReader(file) if (row["trait"], row["interest"]) == BOLD)
    assert float(found["r"]) > 0.9
    assert found["categories"] == "adventure-days"


def test_another_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("E1,E2\n1,2\n")
    assert "other.csv is not the Young People Survey: it has no column" in complaint(
        quiz("evaluate", other, "--interests")
    )


def test_options_that_do_not_go_together_are_refused(survey: Path, tmp_path: Path) -> None:
    assert "--interests: give the FILE" in complaint(quiz("evaluate", "--interests"))
    assert "--evidence: only with --interests" in complaint(quiz("evaluate", survey, "--evidence", tmp_path))
    assert "--instrument: give a TOML file" in complaint(quiz("evaluate", survey))
    assert "--evidence: " in complaint_after_tables(survey, tmp_path / "missing")


def complaint_after_tables(survey: Path, folder: Path) -> str:
    result = quiz("evaluate", survey, "--interests", "--evidence", folder)
    assert result.exit_code == 1
    return result.stderr
