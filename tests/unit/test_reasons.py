"""The terms of a score, and the reasons that are chosen from them."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.personality import TRAITS
from domain.reasons import BASE, MAX_REASONS, MAX_TERMS, Liked, Named, Opinion, ReasonSource, Terms, explain, reasons_of

factors = st.floats(-1, 1, width=16)
five = st.lists(factors, min_size=5, max_size=5)
tags = st.lists(st.text(min_size=1), max_size=4)
likes = st.lists(
    st.builds(Liked, st.uuids(), st.text(), st.sampled_from(["right", "up", None]), st.booleans(), factors), max_size=60
)


@st.composite
def all_terms(draw: st.DrawFn) -> Terms:
    names = draw(tags)
    places = draw(st.lists(st.integers(1, 2 + len(names)), unique=True))

    def opinion(place: int) -> Opinion:
        tag = draw(st.sampled_from([None, names[place - 3]])) if place > 2 else None
        return Opinion(place, draw(factors), draw(st.none() | st.text()), tag)

    return Terms(
        leanings=draw(five),
        traits=draw(five),
        trait_weight=0.1,
        popularity=draw(st.floats(0, 1, width=16)),
        popularity_weight=0.05,
        liked=draw(likes),
        liked_weight=0.2,
        category=Named("books", "Books"),
        brand=Named("north", "North"),
        tag_count=len(names),
        opinions=[opinion(place) for place in places],
        content_weights=(0.1, 0.05, 0.06),
        boosted=draw(factors),
    )


def of(**given: object) -> Terms:
    plain: dict[str, object] = {
        "leanings": [0.0] * 5, "traits": [0.0] * 5, "trait_weight": 0.1, "popularity": 0.0, "popularity_weight": 0.05,
    }  # fmt: skip
    return Terms(**{**plain, **given})  # type: ignore[arg-type]


def total(terms: Terms) -> float:
    of_opinions = 0.0
    for opinion in terms.opinions:
        shares = [*terms.content_weights[:2], *[terms.content_weights[2] / max(terms.tag_count, 1)] * terms.tag_count]
        of_opinions += shares[opinion.place - 1] * opinion.score
    traits = sum(lean * trait for lean, trait in zip(terms.leanings, terms.traits, strict=True))
    liked = sum(each.added for each in terms.liked)
    return (
        BASE + terms.trait_weight * traits + terms.popularity_weight * terms.popularity
        + terms.liked_weight * liked + of_opinions + terms.boosted
    )  # fmt: skip


@given(all_terms())
def test_all_terms_add_up_whatever_their_number(terms: Terms) -> None:
    explanation = explain(terms)
    assert len(explanation) <= MAX_TERMS
    assert sum(term.weight for term in explanation) == pytest.approx(total(terms), abs=1e-9)


@given(all_terms())
def test_reasons_are_the_largest_true_terms(terms: Terms) -> None:
    explanation = explain(terms)
    reasons = reasons_of(explanation)
    assert 1 <= len(reasons) <= MAX_REASONS
    weights = [reason.weight for reason in reasons]
    assert weights == sorted(weights, reverse=True)
    raising = [term for term in explanation if term.weight >= 0.0005 and term.code not in ("BASE", "POPULAR")]
    assert [reason.code for reason in reasons] != ["POPULAR"] or not raising
    assert len(reasons) == 1 or all(reason.code != "POPULAR" for reason in reasons)


def test_there_is_always_a_reason() -> None:
    assert [reason.code for reason in reasons_of(explain(of()))] == ["POPULAR"]


@pytest.mark.parametrize("position", range(5))
def test_a_trait_is_named_by_its_own_code_and_by_the_way_it_leans(position: int) -> None:
    one = [0.0] * 5
    one[position] = 1.0
    for leaning, trait, text in (
        (1.0, 1.0, "Suits your"), (-1.0, -1.0, "Suits somebody who is less"), (1.0, -1.0, "Does not suit your"),
        (-1.0, 1.0, "Is rather for"),
    ):  # fmt: skip
        terms = of(leanings=[leaning * x for x in one], traits=[trait * x for x in one])
        (term,) = [term for term in explain(terms) if term.code == f"TRAIT_{TRAITS[position].upper()}"]
        assert term.text.startswith(text)
        assert term.source == ReasonSource("trait", TRAITS[position])


def test_a_gift_suits_somebody_else() -> None:
    terms = of(leanings=[1.0] * 5, traits=[1.0] * 5, for_somebody_else=True)
    assert {term.text.split()[1] for term in explain(terms) if term.code.startswith("TRAIT")} == {"their"}


def test_a_liked_product_is_named() -> None:
    tent = UUID(int=1)
    terms = of(
        liked=[Liked(tent, "Tent", "up", False, 0.5), Liked(UUID(int=2), "Kayak", "right", False, 0.2)],
        liked_weight=0.2,
    )
    reasons = reasons_of(explain(terms))
    assert [reason.text for reason in reasons] == ["You loved “Tent”", "You liked “Kayak”"]
    assert reasons[0].source == ReasonSource("product", str(tent))


def test_what_somebody_thinks_of_a_category_a_brand_and_a_tag_is_told_with_what_they_liked() -> None:
    terms = of(
        category=Named("tents", "Tents"),
        brand=Named("north", "North"),
        tag_count=2,
        opinions=[
            Opinion(1, 0.5, "Dome"),
            Opinion(2, -0.5, None),
            Opinion(3, 0.25, None, "winter-sun"),
            Opinion(4, 0.25, None),
        ],
        content_weights=(0.1, 0.1, 0.1),
    )
    assert [(term.code, term.text, term.source and term.source.key) for term in explain(terms)[1:]] == [
        ("LIKED_CATEGORY", "You like Tents, like “Dome”", "tents"),
        ("DISLIKED_BRAND", "You passed over North", "north"),
        ("LIKED_TAG", "You like winter sun", "winter-sun"),
        ("LIKED_TAG", "You like what it was before", None),
    ]
