"""A recommendation's signed id and its confidence."""

from __future__ import annotations

import base64
from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.ids import decode_bytes
from domain.recommendations import CONTEXTS, NOBODY, Shown, confidence_of, viewer_of
from domain.signing import Signer

SIGNER = Signer(b"a secret of the tests", "recommendation")
shares = st.floats(0, 1)
shown_ones = st.builds(
    Shown,
    product_id=st.uuids(),
    viewer=st.binary(min_size=8, max_size=8),
    context=st.sampled_from(CONTEXTS),
    model=st.integers(1, 2**31 - 1),
    arm=st.integers(0, 2**15 - 1),
    propensity=st.floats(0, 1, width=32),
)
SHOWN = Shown(UUID("0199a0b0-0000-7000-8000-000000000001"), NOBODY, "gift_finder", model=3)
# Signed by a release whose ids also had position 7, score, match, preference and popularity of .5, and a time.
EARLIER = (
    "UmVjb21tZW5kYXRpb246AZmgsAAAcACAAAAAAAAAAQAAAAAAAAAAAQAAAAMABz-AAACAAIAAgACAAAAGSa3USTAA7kvQ50dnFGw2g0tnn7uTvg"
)


@given(shown_ones)
def test_an_id_says_what_was_shown(shown: Shown) -> None:
    assert Shown.open(shown.sign(SIGNER), SIGNER) == shown


@given(shown_ones)
def test_an_id_is_the_same_as_long_as_its_content_is(shown: Shown) -> None:
    assert replace(shown).sign(SIGNER) == shown.sign(SIGNER)
    for change in ({"arm": shown.arm + 1}, {"model": shown.model - 1}, {"viewer": b"somebody"}):
        other = replace(shown, **change)
        assert (other.sign(SIGNER) == shown.sign(SIGNER)) == (other == shown)


def test_an_id_of_an_earlier_release_is_opened() -> None:
    assert Shown.open(EARLIER, SIGNER) == SHOWN


@given(shown_ones, st.data())
def test_a_forged_id_is_refused(shown: Shown, data: st.DataObject) -> None:
    raw = bytearray(decode_bytes(shown.sign(SIGNER)) or b"")
    bit = data.draw(st.integers(0, len(raw) * 8 - 1), "bit")
    raw[bit // 8] ^= 1 << bit % 8
    assert Shown.open(base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode(), SIGNER) is None


def test_an_id_signed_for_another_purpose_is_refused() -> None:
    assert Shown.open(SHOWN.sign(Signer(SIGNER.secret, "cursor")), SIGNER) is None


@given(st.binary(max_size=100))
def test_a_signed_text_that_is_no_recommendation_is_refused(payload: bytes) -> None:
    assert Shown.open(SIGNER.sign(payload), SIGNER) is None
    assert Shown.open(SIGNER.sign(b"Recommendation:" + payload[:40]), SIGNER) is None


@given(st.text())
def test_any_text_is_refused(text: str) -> None:
    assert Shown.open(text, SIGNER) is None


@given(st.uuids(), st.uuids())
def test_viewers_are_told_apart_without_their_ids(one: UUID, other: UUID) -> None:
    assert (viewer_of(one) == viewer_of(other)) == (one == other)
    assert viewer_of(one) not in one.bytes
    assert viewer_of(one) != viewer_of(None) == NOBODY


@given(shares, st.integers(0, 10**6), st.booleans())
def test_confidence_is_a_probability(score: float, signals: int, has_personality: bool) -> None:
    assert 0 <= confidence_of(score, signals, has_personality) <= 1


@given(shares, st.integers(0, 1000), st.booleans())
def test_confidence_leans_the_way_of_the_score_and_no_further(
    score: float, signals: int, has_personality: bool
) -> None:
    lean = confidence_of(score, signals, has_personality) - 0.5
    assert abs(lean) <= abs(score - 0.5) + 1e-4
    assert lean * (score - 0.5) >= 0


def test_confidence_grows_with_what_is_known() -> None:
    assert 0.5 < confidence_of(0.9, 0, False) < confidence_of(0.9, 0, True) < confidence_of(0.9, 50, True) < 0.9
