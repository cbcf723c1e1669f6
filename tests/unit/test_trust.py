"""What signals are worth to others: never more than networks may say together, and never nothing once they are old."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.trust import CAPACITIES, VERIFIED_FACTOR, Vote, ripeness, weights

LETTERS = st.sampled_from("abc")
VOTES = st.lists(
    st.builds(
        lambda ripe, verified, a, b, c: Vote(ripe, verified, (a + b + c, a + b, a)),
        st.floats(0, 1),
        st.booleans(),
        LETTERS,
        LETTERS,
        LETTERS,
    ),
    max_size=200,
)


def spread(count: int) -> list[Vote]:
    """Week-old people, each of a network of their own."""
    return [Vote(1, False, (f"h{n}", f"s{n}", f"r{n}")) for n in range(count)]


@pytest.mark.parametrize(("days", "share"), [(0, 0), (2.9, 0), (3, 0), (4, 0.25), (5, 0.5), (7, 1), (400, 1)])
def test_a_newcomer_counts_nothing_for_three_days_and_in_full_after_seven(days: float, share: float) -> None:
    assert ripeness(days) == pytest.approx(share)


def test_people_of_different_networks_count_in_full() -> None:
    assert weights(spread(50)) == [1] * 50


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_network_counts_as_few_people_however_many_there_are(level: int) -> None:
    votes = [Vote(1, False, tuple(f"{n if at < level else 0}" for at in range(3))) for n in range(10_000)]  # type: ignore[arg-type]
    assert sum(weights(votes)) == pytest.approx(CAPACITIES[level])


def test_a_crowded_household_takes_nothing_from_its_neighbours() -> None:
    crowd = [Vote(1, False, ("crowd", "site", "range"))] * 10_000
    found = weights([*crowd, Vote(1, False, ("neighbour", "site", "range"))])
    assert found[-1] == 1


def test_visitors_take_nothing_from_accounts_of_their_network_whose_email_is_verified() -> None:
    crowd = [Vote(1, False, ("one", "site", "range"))] * 10_000
    found = weights([*crowd, Vote(1, True, ("one", "site", "range"))])
    assert found[-1] == 1


@given(VOTES)
def test_no_network_counts_beyond_its_capacity_and_no_vote_beyond_its_ripeness(votes: list[Vote]) -> None:
    found = weights(votes)
    assert all(0 <= weight <= vote.ripeness for weight, vote in zip(found, votes, strict=True))
    for level, capacity in enumerate(CAPACITIES):
        for verified in (False, True):
            for network in {vote.networks[level] for vote in votes}:
                total = sum(
                    weight
                    for weight, vote in zip(found, votes, strict=True)
                    if (vote.networks[level], vote.is_verified) == (network, verified)
                )
                assert total <= capacity * (VERIFIED_FACTOR if verified else 1) + 1e-9
