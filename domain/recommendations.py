"""Recommendations: their signed identity and confidence. The ranking itself is SQL
(sql/queries/recommendations.sql); docs/recommendations.md has the formulas."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.signing import Signer

CONTEXTS = ("discover", "gift_finder", "similar")

_FORM = struct.Struct(">16s8sBIHfHHHHq")
_PREFIX = b"Recommendation:"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCALE = 65535


@dataclass(frozen=True, slots=True)
class Shown:
    """A product that was shown to a person: the content of a recommendation's id.

    match, preference, popularity and score are 0..1; propensity is the probability with which the policy showed it
    (1: the ranking is deterministic). `viewer` is 8 bytes of a hash of the person, zero for callers without a token.
    """

    product_id: UUID
    viewer: bytes
    context: str
    model: int
    position: int
    score: float
    match: float
    preference: float
    popularity: float
    generated_at: datetime
    propensity: float = 1.0

    def sign(self, signer: Signer) -> str:
        return signer.sign(
            _PREFIX
            + _FORM.pack(
                self.product_id.bytes,
                self.viewer,
                CONTEXTS.index(self.context),
                self.model,
                min(self.position, _SCALE),
                self.propensity,
                *(round(max(0.0, min(1.0, x)) * _SCALE) for x in (self.score, self.match, self.preference)),
                round(max(0.0, min(1.0, self.popularity)) * _SCALE),
                (self.generated_at - _EPOCH) // timedelta(microseconds=1),
            )
        )

    @classmethod
    def open(cls, text: str, signer: Signer) -> Shown | None:
        """Decodes a recommendation's id; None if it was not signed here."""
        payload = signer.open(text)
        if payload is None or not payload.startswith(_PREFIX) or len(payload) != len(_PREFIX) + _FORM.size:
            return None
        product, viewer, context, model, position, propensity, score, match, preference, popularity, at = _FORM.unpack(
            payload[len(_PREFIX) :]
        )
        return cls(
            product_id=UUID(bytes=product),
            viewer=viewer,
            context=CONTEXTS[context],
            model=model,
            position=position,
            score=score / _SCALE,
            match=match / _SCALE,
            preference=preference / _SCALE,
            popularity=popularity / _SCALE,
            generated_at=_EPOCH + timedelta(microseconds=at),
            propensity=propensity,
        )


NOBODY = bytes(8)


def viewer_of(subject: UUID | None) -> bytes:
    return NOBODY if subject is None else hashlib.sha256(b"viewer:" + subject.bytes).digest()[:8]


def confidence_of(score: float, signals: int, has_personality: bool) -> float:
    """The score as a probability of a like, shrunk towards one half while there is little data on the person.

    The shrinkage n / (n + 10) is a choice, not yet calibrated with outcomes.
    """
    evidence = 1 - (1 - (0.5 if has_personality else 0.2)) * (1 - signals / (signals + 10))
    return round(0.5 + (score - 0.5) * evidence, 4)
