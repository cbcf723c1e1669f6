"""The short form of `make soak`: a crowd at a real server, in both claims modes."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import ClaimsMode
from tests.soak.soak import soak


@pytest.mark.parametrize("claims_mode", list(ClaimsMode), ids=lambda mode: mode.value)
def test_a_crowd_with_hang_ups_leaves_nothing_in_the_log(home: Path, claims_mode: ClaimsMode) -> None:
    outcome = soak(home, claims_mode, requests=1_000, seconds=0, burners=0)
    assert outcome.is_clean, str(outcome)
    assert outcome.hang_ups > 10
    assert outcome.answered > 900
