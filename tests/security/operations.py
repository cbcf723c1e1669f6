"""Every GraphQL operation, one per line, and the expected answer for each kind of caller.

A new root field, or a new field of Profile, needs a line here; test_graphql_matrix.py fails until it has one.
Documents are generated from the schema and select every field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from schema.schema import build

SCHEMA: GraphQLSchema = build()._schema
CALLERS = ("nobody", "visitor", "anna", "ben", "analyst", "admin", "service", "finance")

# Everybody's to read: of these the id is enough.
PUBLIC_TYPES = {"Product", "ProductOffer", "Category", "Brand", "Retailer"}
# They refer to each other: below the list that was asked for, the id is enough.
MONEY_TYPES = {
    "Conversion", "ConversionFlag", "ConversionReport", "LedgerDecision", "LedgerEntry", "LedgerException", "Payment",
}  # fmt: skip
_DEPTH = 5


def selection(type_: Any, depth: int = _DEPTH) -> str:
    """All that this type offers without required arguments, as far down as it goes."""
    type_ = get_named_type(type_)
    if is_leaf_type(type_):
        return ""
    is_enough = type_.name in PUBLIC_TYPES or (type_.name in MONEY_TYPES and depth < _DEPTH - 1)
    if isinstance(type_, GraphQLInterfaceType) or is_enough:
        return "{ __typename id }"
    parts = []
    for name, field in type_.fields.items():
        if any(is_required_argument(argument) for argument in field.args.values()):
            continue
        below = get_named_type(field.type)
        if (depth == 0 and not is_leaf_type(below)) or below is type_:  # a row that refers to others of its type
            continue
        first = "(first: 3)" if "first" in field.args else ""
        parts.append(f"{name}{first} {selection(below, depth - 1)}")
    return f"{{ __typename {' '.join(parts)} }}"


def fields_of(name: str) -> Mapping[str, GraphQLField]:
    type_ = SCHEMA.get_type(name)
    assert isinstance(type_, GraphQLObjectType)
    return type_.fields


@dataclass(frozen=True)
class World:
    """What arguments may name: Anna's canaries by type, and something public."""

    hers: Mapping[str, str]
    product: str
    quiz: dict[str, Any]
    feed_id: str
    view_id: str
    token: str  # Anna's own, which is worth nothing as an argument


@dataclass(frozen=True)
class Line:
    """`arguments` of the field; `answers` one word per caller, in the order of CALLERS; finance may have a word of its
    own, and is answered as Ben otherwise:

    ok          answered, with no canary of anybody's
    own         answered, with the caller's own canaries and no others
    hers        answered, with Anna's
    all         answered, with everybody's: for those who administer
    null        answered null
    A_CODE      that code, in userErrors or in errors
    """

    arguments: Callable[[World], dict[str, Any]]
    answers: str
    finance: str = ""
    of_accounts: bool = False  # that this service keeps itself: on Supabase UNAVAILABLE to those who may ask at all

    def answer_to(self, caller: str, *, accounts_are_ours: bool = True) -> str:
        words = self.answers.split()
        index = CALLERS.index("ben" if caller == "finance" else caller)
        word = words[0] if len(words) == 1 else words[index]
        if caller == "finance" and self.finance:
            word = self.finance
        if self.of_accounts and not accounts_are_ours and word not in ("UNAUTHENTICATED", "FORBIDDEN"):
            return "UNAVAILABLE"
        return word


def _input(**values: Any) -> Callable[[World], dict[str, Any]]:
    return lambda world: {"input": values}


def _nothing(world: World) -> dict[str, Any]:
    return {}


_STAFF = "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN ok ok ok"
_BOOKS = "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok ok"
_DECIDE = "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN NOT_FOUND NOT_FOUND"
_NOVEMBER = {"range": {"firstDay": "2026-11-01", "lastDay": "2026-11-30"}}

QUERIES = {
    "product": Line(lambda world: {"id": world.product}, "ok"),
    "products": Line(_nothing, "ok"),
    "productFacets": Line(_nothing, "ok"),
    "suggest": Line(lambda w: {"prefix": "b"}, "ok"),
    "categories": Line(_nothing, "ok"),
    "brands": Line(_nothing, "ok"),
    "retailers": Line(_nothing, "ok"),
    "quiz": Line(_nothing, "ok"),
    "nextQuestion": Line(lambda w: {**w.quiz, "answers": w.quiz["answers"][:3]}, "ok"),
    "giftFinder": Line(lambda w: {"input": {"traits": ["CREATIVE"]}, "first": 5}, "ok"),
    "recommendations": Line(lambda w: {"first": 5}, "ok"),
    #                                                  nobody visitor anna ben  analyst admin service
    "me": Line(_nothing, "                             null   own     own  own  own     own   null"),
    "node": Line(lambda w: {"id": w.hers["Profile"]}, "null   null    hers null null    null  hers"),
    "nodes": Line(lambda w: {"ids": list(w.hers.values())}, " ok     ok      hers ok   ok      ok    hers"),
    "eventCounts": Line(
        lambda w: {"since": "2026-01-01T00:00:00Z", "until": "2026-12-31T00:00:00Z"},
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN ok ok ok",
    ),
    "recommendationFeedback": Line(_nothing, "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN ok ok ok"),
    "impressionCounts": Line(
        lambda w: {"since": "2026-01-01T00:00:00Z", "until": "2026-12-31T00:00:00Z"},
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN ok ok ok",
    ),
    "funnel": Line(lambda w: _NOVEMBER, _STAFF, finance="ok"),
    "revenue": Line(lambda w: _NOVEMBER, _STAFF, finance="ok"),
    "recommendationPerformance": Line(lambda w: _NOVEMBER, _STAFF, finance="ok"),
    "experiment": Line(lambda w: {"key": "unknown"}, "null"),
    "systemLogs": Line(_nothing, "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok ok"),
    "affiliateNetwork": Line(
        lambda w: {"code": "awin"}, "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok ok"
    ),
    "affiliateNetworks": Line(lambda w: {"first": 3}, "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok ok"),
    "importRuns": Line(_nothing, "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok ok"),
    "conversions": Line(lambda w: {"first": 2}, _STAFF, finance="ok"),
    "conversionFlags": Line(_nothing, _BOOKS, finance="ok"),
    "ledger": Line(_nothing, _BOOKS, finance="ok"),
    "payments": Line(_nothing, _BOOKS, finance="ok"),
    "exceptions": Line(_nothing, _BOOKS, finance="ok"),
    "ledgerBalances": Line(lambda w: {"by": ["NETWORK", "MONTH"]}, _STAFF, finance="ok"),
    "reconciliation": Line(lambda w: {"month": "2026-07"}, _STAFF, finance="ok"),
    "auditLog": Line(
        lambda w: {"filter": {"tableName": "public.consents"}},
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN all all",
    ),
}

_PRODUCT = {"name": "x", "price": "1.00", "categorySlug": "books", "retailerSlug": "north-shop"}
# In the order in which they are asked, by one token each caller has: what ends a session or a person comes last.
MUTATIONS = {
    "startSession": Line(_input(landingPage="/"), "ok"),
    "signUp": Line(_input(email="new@people.example", password="long enough"), "ok", of_accounts=True),
    "signIn": Line(
        _input(email="canary-anna@canary.example", password="a guess"), "INVALID_CREDENTIALS", of_accounts=True
    ),
    "refreshSession": Line(_input(refreshToken="a guess"), "INVALID_CREDENTIALS"),
    # nobody visitor anna ben analyst admin service
    "updateProfile": Line(_input(displayName="Changed"), "UNAUTHENTICATED own own own own own UNAUTHENTICATED"),
    "submitQuiz": Line(lambda w: {"input": w.quiz}, "UNAUTHENTICATED own own own own own UNAUTHENTICATED"),
    "saveQuizAnswers": Line(lambda w: {"input": w.quiz}, "UNAUTHENTICATED ok ok ok ok ok UNAUTHENTICATED"),
    "recordSwipe": Line(
        lambda w: {"input": {"productId": w.product, "direction": "UP", "clientSwipeId": "1"}},
        "UNAUTHENTICATED own own own own own UNAUTHENTICATED",
    ),
    "recordSwipes": Line(
        lambda w: {"input": {"swipes": [{"productId": w.product, "direction": "UP", "clientSwipeId": "2"}]}},
        "UNAUTHENTICATED own own own own own UNAUTHENTICATED",
    ),
    "undoSwipe": Line(
        lambda w: {"input": {"swipeId": w.hers["Swipe"]}},
        "UNAUTHENTICATED NOT_FOUND own NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ),
    "sendRecommendationFeedback": Line(
        lambda w: {"input": {"recommendationId": w.feed_id, "kind": "HELPFUL"}},
        "UNAUTHENTICATED NOT_FOUND ok NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ),
    "dismissReason": Line(
        _input(source={"kind": "TRAIT", "key": "social"}),
        "UNAUTHENTICATED ok ok ok ok ok UNAUTHENTICATED",
    ),
    "restoreReason": Line(
        lambda w: {"input": {"id": w.hers["DismissedReason"]}},
        "UNAUTHENTICATED NOT_FOUND own NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ),
    "createAffiliateClick": Line(
        lambda w: {"input": {"productId": w.product}}, "UNAUTHENTICATED ok ok ok ok ok UNAUTHENTICATED"
    ),
    "createProduct": Line(
        _input(**_PRODUCT, externalId="x", url="https://north.example/x"),
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok ok",
    ),
    "updateProduct": Line(
        lambda w: {"input": {"id": w.product, "name": "Changed"}},
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok ok",
    ),
    **{
        f"{verb}{noun}": Line(
            _input(**({"name": f"Of {noun}"} if verb == "create" else {"id": "nonsense"})),
            f"UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN {answer}",
        )
        for noun in ("Brand", "Category", "Retailer")
        for verb, answer in (("create", "ok ok"), ("update", "NOT_FOUND NOT_FOUND"))
    },
    # About nothing that exists: what they do is in tests/http/test_ledger_decisions.py.
    "matchConversion": Line(_input(conversionId="nonsense", trackingId="x", reason="x"), _DECIDE, finance="NOT_FOUND"),
    "adjustConversion": Line(_input(conversionId="nonsense", amount="1", reason="x"), _DECIDE, finance="NOT_FOUND"),
    "acceptException": Line(_input(exceptionId="nonsense", reason="x"), _DECIDE, finance="NOT_FOUND"),
    "declineException": Line(_input(exceptionId="nonsense", reason="x"), _DECIDE, finance="NOT_FOUND"),
    "holdConversion": Line(_input(conversionId="nonsense", reason="x"), _DECIDE, finance="NOT_FOUND"),
    "releaseConversion": Line(_input(conversionId="nonsense", reason="x"), _DECIDE, finance="NOT_FOUND"),
    "mergeProducts": Line(
        lambda w: {"input": {"productId": w.product, "intoId": w.product}},
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN INVALID INVALID",
    ),
    "splitProduct": Line(
        lambda w: {"input": {"productId": w.product}},
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok ok",
    ),
    "createOffer": Line(
        lambda w: {
            "input": {
                "productId": w.product,
                "retailerSlug": "north-shop",
                "externalId": "o",
                "price": "1.00",
                "url": "https://north.example/o",
            }
        },
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok ok",
    ),
    "updateOffer": Line(
        _input(id="nonsense", price="1.00"),
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN NOT_FOUND NOT_FOUND",
    ),
    "createNetwork": Line(
        _input(code="kestrel", name="Kestrel", trackingHosts=["go.kestrel.example"], rules=[{"parameter": "sub"}]),
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok ok",
    ),
    "updateNetwork": Line(
        _input(code="nonsense", name="X"),
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN NOT_FOUND NOT_FOUND",
    ),
    # To an e-mail that is nobody's: what it does is in test_roles.py.
    "grantRole": Line(
        _input(email="nobody@canary.example", role="analyst"),
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN INVALID_CREDENTIALS NOT_FOUND",
    ),
    "revokeRole": Line(
        _input(email="nobody@canary.example", role="analyst"),
        "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN INVALID_CREDENTIALS NOT_FOUND",
    ),
    "recordProductViews": Line(
        lambda w: {"input": {"views": [{"id": w.view_id, "productId": w.product}]}},
        "UNAUTHENTICATED ok ok ok ok ok UNAUTHENTICATED",
    ),
    "recordImpressions": Line(
        lambda w: {
            "input": {
                "impressions": [
                    {
                        "id": w.view_id,
                        "recommendationId": w.feed_id,
                        "position": 1,
                        "shownAt": datetime.now(UTC).isoformat(),
                    },
                ]
            }
        },
        "UNAUTHENTICATED NOT_FOUND ok NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ),
    "recordExposure": Line(
        _input(key="unknown"), "UNAUTHENTICATED NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND"
    ),
    "recordEvents": Line(
        lambda w: {"input": {"events": [{"id": w.view_id, "name": "seen"}]}},
        "UNAUTHENTICATED ok ok ok ok ok UNAUTHENTICATED",
    ),
    "createGiftLink": Line(
        lambda w: {"input": {"productId": w.product, "message": "Look"}},
        "UNAUTHENTICATED ok ok ok ok ok UNAUTHENTICATED",
    ),
    "revokeGiftLink": Line(
        lambda w: {"input": {"giftLinkId": w.hers["GiftLink"]}},
        "UNAUTHENTICATED NOT_FOUND own NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ),
    "updateConsents": Line(
        _input(consents=[{"purpose": "MARKETING", "granted": True}], policyVersion="2"),
        "UNAUTHENTICATED own own own own own UNAUTHENTICATED",
    ),
    "mergeSession": Line(
        _input(refreshToken="a guess"),
        f"UNAUTHENTICATED INVALID {'INVALID_CREDENTIALS ' * 4} INVALID",
    ),
    "requestPasswordReset": Line(_input(email="canary-anna@canary.example"), "ok", of_accounts=True),
    "resetPassword": Line(_input(token="a guess", newPassword="long enough"), "INVALID_CREDENTIALS", of_accounts=True),
    "verifyEmail": Line(_input(token="a guess"), "INVALID_CREDENTIALS", of_accounts=True),
    "requestEmailVerification": Line(_nothing, "UNAUTHENTICATED FORBIDDEN ok ok ok ok FORBIDDEN", of_accounts=True),
    "changePassword": Line(
        _input(currentPassword="a guess", newPassword="long enough"),
        f"UNAUTHENTICATED FORBIDDEN {'INVALID_CREDENTIALS ' * 4} FORBIDDEN",
        of_accounts=True,
    ),
    "verifyTotp": Line(
        lambda w: {"input": {"factorId": w.hers["SecondFactor"], "code": "123456"}},
        "UNAUTHENTICATED FORBIDDEN CONFLICT NOT_FOUND NOT_FOUND NOT_FOUND FORBIDDEN",
        of_accounts=True,
    ),
    "verifyRecoveryCode": Line(
        _input(code="aaaa-aaaa-aaaa-aaaa"),
        f"UNAUTHENTICATED FORBIDDEN {'INVALID_CREDENTIALS ' * 4} FORBIDDEN",
        of_accounts=True,
    ),
    "createRecoveryCodes": Line(
        _nothing, "UNAUTHENTICATED FORBIDDEN CONFLICT CONFLICT CONFLICT CONFLICT FORBIDDEN", of_accounts=True
    ),
    "removeTotp": Line(
        lambda w: {"input": {"factorId": w.hers["SecondFactor"]}},
        "UNAUTHENTICATED FORBIDDEN own NOT_FOUND NOT_FOUND NOT_FOUND FORBIDDEN",
        of_accounts=True,
    ),
    "enrolTotp": Line(  # these tokens tell of no recent sign-in, and there is no password
        _input(name="phone"),
        f"UNAUTHENTICATED FORBIDDEN {'INVALID_CREDENTIALS ' * 4} FORBIDDEN",
        of_accounts=True,
    ),
    # Neither a refresh token nor a recent sign-in. What an export with a proof holds: test_privacy.py.
    # nobody visitor anna ben analyst admin service
    "exportMyData": Line(_nothing, f"UNAUTHENTICATED {'INVALID_CREDENTIALS ' * 5} UNAUTHENTICATED"),
    "revokeOtherSessions": Line(_nothing, "UNAUTHENTICATED ok ok ok ok ok ok"),
    "deleteMyAccount": Line(
        _input(confirm=True),
        f"UNAUTHENTICATED {'INVALID_CREDENTIALS ' * 5} UNAUTHENTICATED",
    ),
    "revokeSession": Line(
        lambda w: {"input": {"sessionId": w.hers["Session"]}},
        "UNAUTHENTICATED NOT_FOUND own NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ),
    "signOut": Line(_nothing, "UNAUTHENTICATED ok ok ok ok ok ok"),
}

# Which fields of a profile hold something that tells whose it is; the others say nothing of anybody.
PROFILE_TELLS = {
    "id",
    "email",
    "displayName",
    "preferences",
    "personality",
    "swipes",
    "affiliateClicks",
    "giftLinks",
    "dismissedReasons",
    "sessions",
    "secondFactors",
    "quizProgress",
}
PROFILE_IS_SILENT = {"isAnonymous", "statedPreferences", "emailVerifiedAt", "createdAt", "consents", "analytics"}


def document(kind: str, name: str, arguments: dict[str, Any]) -> str:
    """An operation with this one field, its arguments as variables, and all that can be selected."""
    field = fields_of("Mutation" if kind == "mutation" else "Query")[name]
    declared = ", ".join(f"${given}: {field.args[given].type}" for given in arguments)
    passed = ", ".join(f"{given}: ${given}" for given in arguments)
    head = f"{kind} ({declared})" if declared else kind
    call = f"{name}({passed})" if passed else name
    return f"{head} {{ {call} {selection(field.type)} }}"
