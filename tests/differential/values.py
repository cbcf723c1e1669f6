"""Values of arguments: right ones mostly, chosen from what the database holds, and odd ones now and then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    get_named_type,
    get_nullable_type,
    is_required_input_field,
)

from domain import ids
from tests.client_ids import uuid7
from tests.differential.world import Caller, World

ODD_SHARE = 0.02  # of values that the service refuses or finds nothing for
_LARGEST_PAGE = 4
_WORDS = (
    "camping",
    "campng",
    "books present",
    "ünïcode",
    "",
    "  ",
    "zzz",
    '"',
    "a present about tools",
    "gift -art",
    "🎁",
    "a\0b",
)
_TAGS = ("gift", "outdoors", "art", "reading", "ünï", "nothing-has-this", 'quo"te', "", "a\0b")
_PREFIXES = ("c", "cam", "CÁMP", "b", "gif", "al", "1", "camping 1", "zzz", "", "%", "ünï", "x" * 101, "a\0b")
_TEXTS = ("plain", 'ünï "q" \\ 🎁', "", "x" * 90, "line\nbreak\ttab", "\u2028\u0001")
_OBJECTS: tuple[Any, ...] = ({}, {"a": 1, "b": [None, True, "ü"], "c": {"d": 1.5}}, {"z": "", "": 0}, {'é"': "\\"})
_CURRENCIES = ("GBP", "EUR", "JPY", "BHD", "XXX", "gbp")
_LIST_SIZES = (0, 1, 1, 2, 3)
_GROUPINGS = (0, 1, 1, 1, 1, 2)  # numbers of dimensions: of figures, most callers may group by one


class Variable(str):
    """The name of a variable that stands in a value."""


class Values:
    """Makes values for one caller. Everything comes from `random`, so a seed makes the same again."""

    def __init__(self, random: Random, world: World, caller: Caller) -> None:
        self._random = random
        self._world = world
        self._caller = caller

    def argument(self, field: str, type_: Any, name: str) -> Any:
        """A value of JSON for an argument of this field."""
        return self.of(type_, _PURPOSES.get(f"{field}.{name}", name))

    def of(self, type_: Any, name: str) -> Any:
        """A value of JSON for what has this type and means what this name says."""
        nullable = get_nullable_type(type_)
        if name == "answers" and isinstance(nullable, GraphQLList) and self._random.random() < 0.8:
            return [{"questionId": question, "value": self._random.randint(1, 5)} for question in self._world.questions]
        if not isinstance(type_, GraphQLNonNull) and self._random.random() < 0.06:
            return None
        if isinstance(nullable, GraphQLList):
            if self._random.random() < 0.1:
                return self.of(nullable.of_type, name)  # a single value stands for a list of it
            sizes = _GROUPINGS if name == "by" else _LIST_SIZES
            return [self.of(nullable.of_type, name) for _ in range(self._random.choice(sizes))]
        if isinstance(nullable, GraphQLInputObjectType):
            return self._input(nullable)
        if isinstance(nullable, GraphQLEnumType):
            # No trait to look for is refused, and refusals compare little.
            names = [name for name in nullable.values if name != "BALANCED" or self._random.random() < 0.1]
            return self._random.choice(names)
        value = self._named(name, nullable)
        return value if value is not None else self._scalar(nullable)

    def mistyped(self, type_: Any) -> Any:
        """A value that no variable of this type takes."""
        scalar = get_named_type(type_)
        if isinstance(scalar, GraphQLScalarType) and scalar.name in ("String", "ID"):
            return self._random.choice([1.5, {"a": 1}, True, [["a"]]])
        return self._random.choice([{"nonsense": 1}, "nonsense", [["nonsense"]], 1e300, 2**40 + 0.5, ""])

    def cursor(self, key: str) -> str | None:
        """A cursor of this connection that the caller was given; a forged one now and then. None where the caller was
        given none."""
        known = self._caller.cursors.get(key, ())
        if known and self._is_odd():
            return self._random.choice(["forged", "", known[0][:-2] + "AA"])
        return self._random.choice(known) if known else None

    def page(self) -> int:
        """How many items of a connection."""
        return self._random.choice([0, -1, 101, 10**6]) if self._is_odd() else self._random.randint(1, _LARGEST_PAGE)

    def id_of(self, type_name: str) -> str:
        """An id of this type: the caller's own, or anybody's where the type is public; an odd one now and then."""
        if self._is_odd():
            return self._odd_id()
        known = self._world.public.get(type_name) or self._caller.own.get(type_name) or ()
        return self._random.choice(known) if known else self._odd_id()

    def any_id(self) -> str:
        """An id of something that node() may find."""
        if self._is_odd():
            return self._odd_id()
        if self._caller.recommendations and self._random.random() < 0.1:
            return self._random.choice(list(self._caller.recommendations))
        types = [*self._world.public, *self._caller.own, *self._caller.own]
        return self.id_of(self._random.choice(types))

    def _odd_id(self) -> str:
        """Somebody else's, of another type, of nothing, of no form at all."""
        others = [other for of_type in self._caller.foreign.values() for other in of_type[:3]]
        nothing = ids.encode("Product", "00000000-0000-7000-8000-000000000000")
        product = self._world.public["Product"][0]
        return self._random.choice(
            [*others, nothing, "", "%%%", "1", product + "=", product[:-1], ids.encode("Money", "x")]
        )

    def _is_odd(self) -> bool:
        return self._random.random() < ODD_SHARE

    def _input(self, type_: GraphQLInputObjectType) -> dict[str, Any]:
        chosen = [
            name
            for name, field in type_.fields.items()
            if is_required_input_field(field) or self._random.random() < (0.25 if len(type_.fields) > 4 else 0.5)
        ]
        given = {name: self.of(type_.fields[name].type, _PURPOSES.get(f"{type_.name}.{name}", name)) for name in chosen}
        shown = self._caller.recommendations.get(given.get("recommendationId", ""))
        if shown and "productId" in given and not self._is_odd():
            given["productId"] = shown  # of another product it would be refused
        return given

    def _named(self, name: str, type_: Any) -> Any:
        """By what the name means; None where it means nothing particular."""
        random, world = self._random, self._world
        if name in ("id", "ids"):
            return self.any_id()
        if name in ("first", "last"):
            return self.page()
        if name in _ID_TYPES:
            return self.id_of(_ID_TYPES[name])
        if name == "recommendationId":
            return random.choice(list(self._caller.recommendations)) if self._caller.recommendations else "forged"
        if name == "giftLinkToken":
            return "forged" if self._is_odd() else random.choice(world.gift_tokens)
        if name in ("clientId", "externalId"):
            return uuid7(random.randint(60, 10**5))
        if name == "questionId":
            return random.choice(world.questions)
        if name in _SLUGS:
            return self._slug(_SLUGS[name])
        if name in _DAYS:
            return self._moment(name)
        if name in ("firstDay", "lastDay"):
            day = self._world.now.date() - timedelta(days=random.randint(0, 20) if name == "firstDay" else 0)
            return "2026-02-30" if self._is_odd() else f"{day}"
        if name == "idempotencyKey" or name == "clientSwipeId":
            return f"key-{random.randint(1, 10**6)}"
        return random.choice(_CHOICES[name]) if name in _CHOICES else None

    def _slug(self, kind: str) -> str:
        return "no-such-slug" if self._is_odd() else self._random.choice(self._world.slugs[kind])

    def _moment(self, name: str) -> str:
        moment = self._world.now + timedelta(days=_DAYS[name], minutes=self._random.randint(0, 999))
        if self._is_odd():
            return (moment - timedelta(days=800)).isoformat()
        return self._random.choice(
            [moment.isoformat(), f"{moment:%Y-%m-%dT%H:%M:%S}Z", f"{moment:%Y-%m-%dT%H:%M:%S}+05:30"]
        )

    def _scalar(self, type_: Any) -> Any:
        random = self._random
        by_name: dict[str, Sequence[Any]] = {
            "Boolean": (True, False),
            "Int": (1, 2, 3, 5),
            "Float": (0.5, 1, 1e-3),
            "Decimal": ("10.00", "12", 9, 11.5, "1e1", "0.001"),
            "JSON": _OBJECTS,
        }
        if type_.name == "ID" and random.random() < 0.5:
            return uuid7(random.randint(60, 10**5))
        return random.choice(by_name.get(type_.name, _TEXTS))


_ID_TYPES = {
    "productId": "Product",
    "intoId": "Product",
    "offer": "ProductOffer",
    "excludeIds": "Product",
    "brandIds": "Brand",
    "categoryIds": "Category",
    "retailerId": "Retailer",
    "retailerIds": "Retailer",
    "swipeId": "Swipe",
    "giftLinkId": "GiftLink",
    "dismissedReasonId": "DismissedReason",
    "subjectId": "Profile",
    "conversionId": "Conversion",
    "exceptionId": "LedgerException",
    "paymentId": "Payment",
    "sessionId": "Session",
}
_SLUGS = {
    "categorySlug": "categories",
    "categorySlugs": "categories",
    "avoidCategorySlugs": "categories",
    "brandSlug": "brands",
    "brandSlugs": "brands",
    "retailerSlug": "retailers",
}
_DAYS = {
    "since": -20,
    "until": 1,
    "expiresAt": 30,
    "sentAt": 0,
    "shownAt": -1,
    "asOf": 0,
    "at": -1,
    "knownAt": 0,
}  # from now, of what is a timestamp
_PURPOSES = {  # names that mean something else here
    "product.id": "productId",
    "brands.search": "brandSearch",
    "UpdateProductInput.id": "productId",
    "UpdateProductOfferInput.id": "offer",
    "affiliateNetwork.code": "network",
    "UpdateAffiliateNetworkInput.code": "network",
    "AffiliateNetworkInput.code": "newNetwork",
    "LinkRuleInput.host": "ruleHost",
    "RestoreReasonInput.id": "dismissedReasonId",
    "ReasonSourceInput.key": "reasonKey",
    "ProductViewInput.id": "clientId",
    "EventInput.id": "clientId",
    "ImpressionInput.id": "clientId",
}
_CHOICES: dict[str, Sequence[Any]] = {
    "search": _WORDS,
    "brandSearch": ("al", "bir", "null", "", "Alder", "zzz", "a\0b"),
    "url": ("https://shop.example/x", "https://shop.example/y", "http://shop.example"),
    "imageUrl": ("https://img.example/ü", "https://img.example/1", "nonsense"),
    "reasonKey": ("books", "alder", "gift", "social", "creative", "nonsense", ""),
    "tags": _TAGS[:3] * 3 + _TAGS,
    "anyTags": _TAGS[:3] * 3 + _TAGS,
    "prefix": _PREFIXES[:8] * 6 + _PREFIXES,
    "currencyCode": ("GBP",) * 6 + _CURRENCIES,
    "month": ("2026-07",) * 12 + ("2026-08", "2026-13"),
    "networks": ("awin", "awin", "impact", "ünï"),
    "skip": (0, 0, 1),
    "reason": ("agreed", 'ünï "q"'),
    "clickToken": ("nonsense", "spcxbqgy2wbuwywsbyv2qy2keq"),
    "minPrice": ("1", "9.99", 5, 10.5, "0"),
    "maxPrice": ("100000", "19.99", 15, "18.5"),
    "price": ("12.50", "7", 19.99, "0", "1.234"),
    "network": ("awin", "cj", "kestrel", "nonsense", "a\0b"),
    "newNetwork": ("kestrel", "kite", "a-b", "No Code"),
    "trackingHosts": ("go.kestrel.example", "A.example", "127.0.0.1"),
    "commissionRate": ("0.05", "0.1", "2"),
    "parameter": ("sub", "sid", "p&q"),
    "destination": ("url", "to"),
    "removes": ("ref",),
    "path": ("*", "/c/*", "c"),
    "ruleHost": ("*", "shop", "go.kestrel.example"),
    "maxLength": (26, 255, 3),
    "characters": ("A-Za-z0-9", "A-Za-z0-9_-", "0-9"),
    "shipping": ("2.50", "0", "1.234"),
    "locale": ("en", "en", "de", "en-GB", "xx", ""),
    "occasion": ("birthday", "christmas", "wedding", "nonsense"),
    "relationship": ("partner", "friend", "parent", "nonsense"),
    "age": (5, 17, 30, 70, 0),
    "key": ("colour", "colour", "colour", "none", ""),
    "component": ("pool", "graphql", "housekeeping", "none"),
    "tableName": ("public.products", "public.consents", "public.none"),
    "version": (*["2.0"] * 9, "1.0"),
    "value": (1, 2, 3, 4, 5),
    "policyVersion": ("2026-02",),
    "displayName": ("Someone", "Ünï 🎁", "x" * 100, "x" * 101),
    "rating": (1, 5, 3, 6),
    "maxUses": (1, 5, 0),
    "durationSeconds": (1, 60),
    "completionTimeSeconds": (60, 300),
}


def literal(type_: Any, value: Any, random: Random) -> str:
    """The value as it is written in a document. Enums, and what stands in their place, depend on the type."""
    if isinstance(value, Variable):
        return f"${value}"
    type_ = get_nullable_type(type_)
    if value is None:
        return "null"
    if isinstance(type_, GraphQLList) and isinstance(value, list):
        return f"[{', '.join(literal(type_.of_type, item, random) for item in value)}]"
    if isinstance(type_, GraphQLList):
        return literal(type_.of_type, value, random)
    if isinstance(type_, GraphQLInputObjectType):
        fields = ", ".join(f"{key}: {literal(type_.fields[key].type, item, random)}" for key, item in value.items())
        return f"{{{fields}}}"
    return value if isinstance(type_, GraphQLEnumType) else _json(value, random)


def _json(value: Any, random: Random) -> str:
    if isinstance(value, dict):  # keys that are no names cannot be written
        names = {key: item for key, item in value.items() if key.isidentifier() and key.isascii()}
        return f"{{{', '.join(f'{key}: {_json(item, random)}' for key, item in names.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(_json(item, random) for item in value)}]"
    if isinstance(value, str) and value and "\\" not in value and value.isprintable() and random.random() < 0.05:
        return f'"""{value}"""' if '"' not in value and value == value.strip() else json.dumps(value)
    return json.dumps(value, ensure_ascii=random.random() < 0.5)
