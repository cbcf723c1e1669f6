"""Schemathesis asks for everything that the schema offers, with arguments of every kind, and finds no fault of ours.
Its choices are the same each time."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import uuid4

import graphql
import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.graphql import nodes

from tests.client import SIGN_UP, START, SWIPE
from tests.e2e.conftest import HANGS, Service, aclue

REQUESTS = 12  # for each operation
OUR_FAULT = {"INTERNAL_SERVER_ERROR", "TIMEOUT", "OVERLOADED"}
FOR_ADMINISTRATORS = {
    "auditLog",
    "systemLogs",
    "importRuns",
    "eventCounts",
    "recommendationFeedback",
    "createProduct",
    "updateProduct",
    "createBrand",
    "updateBrand",
    "createCategory",
    "updateCategory",
    "createRetailer",
    "updateRetailer",
    "affiliateNetwork",
    "affiliateNetworks",
    "createNetwork",
    "updateNetwork",
    "createOffer",
    "updateOffer",
    "mergeProducts",
    "splitProduct",
}
ENDINGS = ("signOut", "deleteMyAccount")  # of a session or of an account, so each needs one of its own
PRODUCTS = "{ products(first: 20) { nodes { id brand { id } category { id } } } }"


def test_it_finds_no_fault_of_ours(service: Service) -> None:
    url = f"{service.url}/graphql"
    administrator = aclue(
        service.home, "token", "--email", "schemathesis@people.example", "--role", "admin"
    ).stdout.strip()
    account = signed_up(url)
    tokens = dict.fromkeys(FOR_ADMINISTRATORS, administrator) | {ending: signed_up(url) for ending in ENDINGS}
    offer_arguments(url)
    answers: Counter[str] = Counter()
    refusals: Counter[tuple[str, str]] = Counter()
    for found in schemathesis.graphql.from_url(url).get_all_operations():
        operation = found.ok()
        token = tokens.get(operation.definition.field_name, account)

        @seed(20261121)
        @settings(
            max_examples=REQUESTS,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy().map(with_pages), token=st.just(token))
        def ask(case: schemathesis.Case, token: str) -> None:
            response = case.call(headers={"authorization": f"Bearer {token}"}, timeout=HANGS)
            assert response.status_code < 500, (case.body, response.text)
            codes = {error["extensions"]["code"] for error in response.json().get("errors", ())}
            assert not codes & OUR_FAULT, (case.body, response.text)
            answers["refused" if codes else "answered"] += 1
            refusals.update((case.operation.label, code) for code in codes)

        ask()
    assert answers["answered"] >= 0.6 * answers.total(), refusals.most_common()


def offer_arguments(url: str) -> None:
    """Arguments that lead somewhere, beside those that do not: most of what a schema calls a number or an id is none
    that the service would take."""
    visitor = payload(url, START)["accessToken"]
    listed = [node for page in data(url, PRODUCTS).values() for node in page["nodes"]]
    swiped = {"productId": listed[0]["id"], "direction": "UP", "clientSwipeId": uuid4().hex}
    swipe = payload(url, SWIPE, token=visitor, input=swiped)["swipe"]["id"]
    known = [each["id"] for node in listed for each in (node, node["brand"], node["category"]) if each]
    scalars = {
        "ID": st.sampled_from([*known, swipe, visitor, ""]) | st.text(),
        "Int": st.integers(1, 10) | st.integers(-(2**31), 2**31 - 1),
        "Decimal": st.decimals(0, 1000, places=2).map(str) | st.decimals().map(str),
    }
    kinds: dict[str, Any] = {"ID": nodes.String, "Int": nodes.Int, "Decimal": nodes.String}
    for name, strategy in scalars.items():
        schemathesis.graphql.scalar(name, strategy.map(kinds[name]))
    schemathesis.graphql.scalar(
        "JSON", st.sampled_from(["{}", "[]", '"text"', "{a: {b: [1, null, true]}}"]).map(graphql.parse_value)
    )


def with_pages(case: schemathesis.Case) -> schemathesis.Case:
    """The same request with pages that there are: `first` and `last` at once are refused, and so are cursors that
    somebody made up. Left to itself it would ask for little else."""
    case.body = graphql.print_ast(graphql.visit(graphql.parse(case.body), Pages()))
    return case


class Pages(graphql.Visitor):
    def enter_field(self, node: graphql.FieldNode, *_: Any) -> graphql.FieldNode:
        given = {argument.name.value: argument for argument in node.arguments or ()}
        both = {"last", "before"} if {"first", "last"} <= set(given) else set()
        kept = tuple(each for name, each in given.items() if name not in both and not is_made_up(each))
        return graphql.FieldNode(
            name=node.name,
            alias=node.alias,
            arguments=kept,
            directives=node.directives,
            selection_set=node.selection_set,
        )


def is_made_up(argument: graphql.ArgumentNode) -> bool:
    """Empty cursors stay, and see to it that some are refused."""
    value = argument.value
    return (
        argument.name.value in ("after", "before") and isinstance(value, graphql.StringValueNode) and value.value != ""
    )


def signed_up(url: str) -> str:
    """The access token of a new account."""
    given = {"email": f"{uuid4().hex}@people.example", "password": "correct horse"}
    token: str = payload(url, SIGN_UP, input=given)["accessToken"]
    return token


def payload(url: str, mutation: str, token: str = "", **variables: Any) -> dict[str, Any]:
    """Of the one mutation in this document."""
    (found,) = data(url, mutation, token, **variables).values()
    return dict(found)


def data(url: str, query: str, token: str = "", **variables: Any) -> dict[str, Any]:
    """Of an answer without errors."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = httpx.post(url, json={"query": query, "variables": variables}, headers=headers, timeout=HANGS).json()
    assert "errors" not in answer, answer
    return dict(answer["data"])
