"""Recommendations: their signed identity and confidence. The ranking itself is SQL
(sql/queries/recommendations.sql); docs/recommendations.md has the formulas."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from uuid import UUID

from domain.signing import Signer

CONTEXTS = ("discover", "gift_finder", "similar")

_FORM = struct.Struct(">16s8sBIHf")
_EARLIER_FORM = struct.Struct(">16s8sBIHfHHHHq")  # of releases whose ids had position, score, its factors and time
_PREFIX = b"Recommendation:"


@dataclass(frozen=True, slots=True)
class Shown:
    """A product that was shown to a person: the content of a recommendation's id. It has nothing that differs between
    two requests for the same feed, so that the caches of clients recognise a recommendation.

    `viewer` is 8 bytes of a hash of the person, zero for callers without a token. `arm` is the number of an
    experiment's arm (0: no experiment), and propensity the probability with which the policy showed it (1: it did not
    explore).
    """

    product_id: UUID
    viewer: bytes
    context: str
    model: int
    arm: int = 0
    propensity: float = 1.0

    def sign(self, signer: Signer) -> str:
        context = CONTEXTS.index(self.context)
        payload = _FORM.pack(self.product_id.bytes, self.viewer, context, self.model, self.arm, self.propensity)
        return signer.sign(_PREFIX + payload)

    @classmethod
    def open(cls, text: str, signer: Signer) -> Shown | None:
        """Decodes a recommendation's id; None if it was not signed here."""
        payload = signer.open(text)
        if payload is None or not payload.startswith(_PREFIX):
            return None
        content = payload[len(_PREFIX) :]
        if len(content) == _FORM.size:
            product, viewer, context, model, arm, propensity = _FORM.unpack(content)
        elif len(content) == _EARLIER_FORM.size:
            product, viewer, context, model, _, propensity, *_ = _EARLIER_FORM.unpack(content)
            arm = 0
        else:
            return None
        return cls(UUID(bytes=product), viewer, CONTEXTS[context], model, arm, propensity)


NOBODY = bytes(8)


def viewer_of(subject: UUID | None) -> bytes:
    return NOBODY if subject is None else hashlib.sha256(b"viewer:" + subject.bytes).digest()[:8]


def confidence_of(score: float, signals: int, has_personality: bool) -> float:
    """The score as a probability of a like, shrunk towards one half while there is little data on the person.

    The shrinkage n / (n + 10) is a choice, not yet calibrated with outcomes.
    """
    evidence = 1 - (1 - (0.5 if has_personality else 0.2)) * (1 - signals / (signals + 10))
    return round(0.5 + (score - 0.5) * evidence, 4)
