"""How a product suits the caller."""

from __future__ import annotations

import strawberry

from domain.personality import TRAITS
from resolvers.product_matches import Match
from schema.bounds import at_most
from schema.personality import Trait


@strawberry.type(description="What a trait adds to a match.")
class MatchTerm:
    trait: Trait = strawberry.field(description="Which trait.")
    contribution: float = strawberry.field(description="Below zero where it speaks against the product.")


@strawberry.type(description="How a product suits a personality.")
class PersonalityMatch:
    match: float = strawberry.field(description="0 to 1; 0.5 is neither: 0.5 and the terms, within these bounds.")
    terms: list[MatchTerm] = strawberry.field(
        description="What each trait adds, the largest first.", metadata=at_most(len(TRAITS))
    )

    @classmethod
    def of(cls, found: Match) -> PersonalityMatch:
        terms = [MatchTerm(trait=Trait(trait), contribution=contribution) for trait, contribution in found.terms]
        return cls(match=found.match, terms=terms)
