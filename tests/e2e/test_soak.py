"""The short form of `make soak`: a crowd at a real server, in both claims modes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from settings import ClaimsMode
from tests.e2e.conftest import demo_folder
from tests.soak.soak import soak


@pytest.fixture
def home() -> Iterator[Path]:
    with demo_folder() as folder:
        yield folder


@pytest.mark.parametrize("claims_mode", list(ClaimsMode), ids=lambda mode: mode.value)
def test_a_crowd_with_hang_ups_leaves_nothing_in_the_log(home: Path, claims_mode: ClaimsMode) -> None:
    outcome = soak(home, claims_mode, requests=1_000, seconds=0, burners=0)
    assert outcome.is_clean, str(outcome)
    assert outcome.hang_ups > 10
    assert outcome.answered > 900
