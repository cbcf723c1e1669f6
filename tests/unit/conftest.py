"""Properties run without a clock: a slow machine is no reason to fail."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import settings

from domain.instruments import parse
from training.interests import Survey, read_interests, read_survey

settings.register_profile("aclue", deadline=None)
settings.load_profile("aclue")

INSTRUMENTS = Path(__file__).parents[2] / "catalogue" / "instruments"


@pytest.fixture(scope="session")
def young_people(shared_data: Path) -> Survey:
    """The Young People Survey, with its personality answers as five traits."""
    key = parse(tomllib.loads((INSTRUMENTS / "young-people-survey.toml").read_text())).instrument
    interests = read_interests(INSTRUMENTS / "young-people-interests.csv")
    return read_survey(shared_data / "personality" / "young_people_survey_707.csv.gz", key, interests)
