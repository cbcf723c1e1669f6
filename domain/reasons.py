"""Why something is recommended: the terms that its score is the sum of (docs/recommendations.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from domain.personality import TRAITS

BASE = 0.5  # the score of something about which nothing is known
MAX_REASONS = 5
MIN_WEIGHT = 0.0005  # a smaller term is no reason
MAX_SHARED_TAGS = 3  # in the text of a reason
MAX_TERMS = 40  # of an explanation; the smallest beyond are one


@dataclass(frozen=True, slots=True)
class ReasonSource:
    """What a term comes from. `key`: the id of a product, the name of a trait or tag, the slug of a category or
    brand."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class Reason:
    """A term of a score. `weight` is what the score would lose without it; negative if it lowers the score."""

    code: str
    text: str
    weight: float
    source: ReasonSource | None = None


class Named(msgspec.Struct, frozen=True, array_like=True):
    """A category or brand."""

    slug: str
    name: str


class Liked(msgspec.Struct, frozen=True, array_like=True):
    """What a liked product adds, before scaling, or a disliked one, if people who passed it over like this one."""

    product_id: UUID
    name: str
    direction: str | None
    is_disliked: bool
    added: float


class Opinion(msgspec.Struct, frozen=True, array_like=True):
    """What a person thinks of something, -1..1: at place 1 the category, at 2 the brand, then the tags. `because`: the
    liked product that says most. `tag`: its name; None if the product has it no more."""

    place: int
    score: float
    because: str | None
    tag: str | None = None


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """Of one product for one person. Factors, such as opinions and leanings, are -1..1; weights turn them into parts of
    the score."""

    leanings: list[float]
    traits: list[float]
    trait_weight: float
    popularity: float
    popularity_weight: float
    liked: list[Liked] = []
    liked_weight: float = 0.0
    category: Named | None = None
    brand: Named | None = None
    tag_count: int = 0
    opinions: list[Opinion] = []
    content_weights: tuple[float, float, float] = (0.0, 0.0, 0.0)
    boosted: float = 0.0
    contexts: list[tuple[str, str, float]] = []
    for_somebody_else: bool = False


_TRAIT_NOUNS = {
    "adventurous": "adventurous",
    "intellectual": "curious",
    "practical": "practical",
    "creative": "creative",
    "social": "sociable",
}


def base() -> Reason:
    """The term that every score begins with."""
    return Reason("BASE", "Where every product starts", BASE)


def popular(weight: float) -> Reason:
    """The reason that every product has."""
    return Reason("POPULAR", "Popular with other people", weight)


def explain(terms: Terms) -> list[Reason]:
    """All terms that are not 0, with BASE; their weights add up to the score. At most MAX_TERMS."""
    found = [base()]
    whose = "their" if terms.for_somebody_else else "your"
    for trait, leaning, feature in zip(TRAITS, terms.leanings, terms.traits, strict=True):
        noun = _TRAIT_NOUNS[trait]
        weight = terms.trait_weight * leaning * feature
        if weight < 0:
            text = f"Does not suit {whose} {noun} side" if leaning > 0 else f"Is rather for the {noun} type"
        else:
            text = f"Suits {whose} {noun} side" if leaning > 0 else f"Suits somebody who is less the {noun} type"
        found.append(Reason(f"TRAIT_{trait.upper()}", text, weight, ReasonSource("trait", trait)))
    for liked in terms.liked:
        code, verb = "LIKED_PRODUCT", "loved" if liked.direction == "up" else "liked"
        text = f"You {verb} “{liked.name}”"
        if liked.is_disliked:
            code, text = "PASSED_PRODUCT", f"Others who passed over “{liked.name}” like it"
        weight = terms.liked_weight * liked.added
        found.append(Reason(code, text, weight, ReasonSource("product", str(liked.product_id))))
    found += _content(terms)
    found += [Reason(code, text, weight) for code, text, weight in terms.contexts]
    found.append(Reason("BOOSTED", "You asked for more or less of it", terms.boosted))
    found.append(popular(terms.popularity_weight * terms.popularity))
    return _bounded([reason for reason in found if reason.weight])


def _bounded(terms: list[Reason]) -> list[Reason]:
    if len(terms) <= MAX_TERMS:
        return terms
    by_size = sorted(terms, key=lambda term: -abs(term.weight))
    kept, rest = by_size[: MAX_TERMS - 1], by_size[MAX_TERMS - 1 :]
    total = sum(term.weight for term in rest)
    return [*kept, Reason("OTHERS", f"{len(rest)} smaller terms", total)]


def _content(terms: Terms) -> list[Reason]:
    """What the person thinks of the category, the brand and the tags."""
    of_category, of_brand, of_tags = terms.content_weights
    found = []
    for opinion in sorted(terms.opinions, key=lambda opinion: opinion.place):
        match opinion.place:
            case 1:
                kind, thing, share = "CATEGORY", terms.category, of_category
            case 2:
                kind, thing, share = "BRAND", terms.brand, of_brand
            case _:
                tag = opinion.tag
                kind, share = "TAG", of_tags / terms.tag_count
                thing = Named(tag, tag.replace("-", " ")) if tag is not None else None
        name = thing.name if thing is not None else "what it was before"
        source = ReasonSource(kind.lower(), thing.slug) if thing is not None else None
        if opinion.score < 0:
            code, text = f"DISLIKED_{kind}", f"You passed over {name}"
        else:
            like = f", like “{opinion.because}”" if opinion.because else ""
            code, text = f"LIKED_{kind}", f"You like {name}{like}"
        found.append(Reason(code, text, share * opinion.score, source))
    return found


def context_fit(kind: str, value: str) -> tuple[str, str]:
    """The code and the text of a reason from a rule of the gift finder: an occasion, a relationship or an age."""
    value = value.replace("-", " ")
    match kind:
        case "occasion":
            text = f"Right for the occasion: {value}"
        case "relationship":
            text = f"Suits a {value}"
        case _:
            text = f"Suits the age: {value}"
    return f"{kind.upper()}_FIT", text


def explain_similar(row: Mapping[str, Any]) -> list[Reason]:
    """All terms that are not 0, with BASE, of a row of recommendations.similar."""
    tags = ", ".join(tag.replace("-", " ") for tag in row["shared_tags"][:MAX_SHARED_TAGS])
    terms = [
        base(),
        Reason("LIKED_TOGETHER", "People who like the one like the other", row["together_term"]),
        Reason("SAME_CATEGORY", "The same kind of gift", row["category_term"]),
        Reason("SAME_BRAND", "By the same maker", row["brand_term"]),
        Reason("SHARED_TAGS", f"Also: {tags}", row["tags_term"]),
        Reason("SIMILAR_PRICE", "About the same price", row["price_term"]),
        popular(row["popularity_term"]),
    ]
    return [term for term in terms if term.weight]


def reasons_of(explanation: Sequence[Reason]) -> list[Reason]:
    """The terms that raised the score, heaviest first; popularity only if there is nothing that says more."""
    raising = [each for each in explanation if each.weight >= MIN_WEIGHT and each.code != "BASE"]
    specific = sorted(
        (each for each in raising if each.code != "POPULAR"), key=lambda each: (-each.weight, each.code, each.text)
    )
    chosen = specific[:MAX_REASONS] or raising or [popular(0.0)]
    return [Reason(each.code, each.text, round(each.weight, 6), each.source) for each in chosen]
