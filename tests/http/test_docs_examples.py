"""What the documentation shows is true: every example is valid, and runs on the demo catalogue."""

from __future__ import annotations

import re
import string
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import msgspec
import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, OperationType, build_schema, parse, validate

from db import demo
from db.embedded import Dsns
from domain.ids import encode
from server import create_app
from settings import Settings
from tests.bases import Base, ensure_template
from tests.client import Client
from tests.conftest import SECRET, Shop
from tests.http.test_roles import admin
from tests.integration.test_ledger import pay
from tests.ledger import awin, report
from tests.streams import Events, listening

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"), ROOT / "web/graphiql-missing.html"]
BLOCK = re.compile(r"^```graphql\n(.*?)^```\n(?:```json\n(.*?)^```\n)?", re.S | re.M)
CURL = re.compile(r"\bcurl [^']*(?:'[^']*'[^']*)*?-d '(\{.*?\})'")
TOUR = re.compile(r"^(?:ask|FEED=|Q=)\s*(?:'([^']*)'|\"((?:[^\"$\\]|\\.|\$[A-Z]+)*)\")", re.M)
UNFENCED = re.compile(r"^ {4}(?:query|mutation|subscription)\b|^ {4}\{$", re.M)
PASSWORD = "correct horse"  # of tests.conftest's accounts


class Example(NamedTuple):
    page: str
    document: str
    variables: dict[str, Any]


def examples(page: Path) -> list[Example]:
    text, name = page.read_text(), str(page.relative_to(ROOT))
    bodies = [msgspec.json.decode(body) for body in CURL.findall(text)]
    return [
        *(Example(name, shown, msgspec.json.decode(given or "{}")) for shown, given in BLOCK.findall(text)),
        *(Example(name, body["query"], body.get("variables", {})) for body in bodies),
    ]


def tour() -> list[str]:
    """The queries of README.md, and of the page that continues it, in order."""
    found = [step for page in ("README.md", "docs/links.md") for step in TOUR.findall((ROOT / page).read_text())]
    return [single or double.replace('\\"', '"') for single, double in found if (single or double)[:1] not in ("", "$")]


EXAMPLES = [example for page in sorted(PAGES) for example in examples(page)]


def ids(example: Example) -> str:
    return f"{example.page}: {' '.join(example.document.split())[:40]}"


@pytest.fixture(scope="module")
def public() -> GraphQLSchema:
    return build_schema((ROOT / "schema.graphql").read_text())


def test_examples_are_found() -> None:
    assert {"docs/pagination.md", "docs/receipts.md", "docs/subscriptions.md"} <= {each.page for each in EXAMPLES}
    assert len(tour()) >= 9


@pytest.mark.parametrize("page", sorted(PAGES), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_is_marked_as_one(page: Path) -> None:
    assert UNFENCED.findall(page.read_text()) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=ids)
def test_every_example_is_valid(public: GraphQLSchema, example: Example) -> None:
    assert validate(public, parse(example.document)) == []


@pytest.fixture
async def database_template(base: Base, database_template: str, request: pytest.FixtureRequest) -> str:
    """With the demo catalogue, if the test uses `demo_shop`."""
    if "demo_shop" not in request.fixturenames:
        return database_template
    return await ensure_template(base, f"{database_template}_demo", database_template, fill)


async def fill(owner: asyncpg.Connection[Any]) -> None:
    assert await demo.load_catalogue(owner)


@pytest.fixture
async def demo_shop(dsns: Dsns, owner: asyncpg.Connection[Any], settings: Settings, base: Base) -> AsyncIterator[Shop]:
    """The service with the demo catalogue."""
    app = create_app(settings, dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        yield Shop(app.state.services, owner, dsns, http, base, app.state.engine)


def outcomes(data: dict[str, Any]) -> list[Any]:
    """The userErrors of all root fields."""
    return [error for field in data.values() if isinstance(field, dict) for error in field.get("userErrors", ())]


@pytest.mark.usefixtures("own_accounts")
async def test_every_example_is_answered_without_errors(demo_shop: Shop) -> None:
    anna = await admin(demo_shop)
    await demo_shop.verified_account("ben@example.org")
    await report(demo_shop.services, awin("5501", "approved", commission="5.00"))
    await pay(demo_shop, "4.50")
    money = {
        f"{noun}Id": encode(name, await demo_shop.owner.fetchval(f"select id from public.{table}"))
        for noun, name, table in (
            ("conversion", "Conversion", "conversions"),
            ("exception", "LedgerException", "exceptions"),
        )
    }
    for example in EXAMPLES:
        session = await demo_shop.anonymous()
        variables = {
            "refreshToken": session.refresh_token,
            "n": 3,
            "search": "chocolate",
            "prefix": "choc",
            **money,
            "product": (await session.products(first=1))[0]["id"],
            **example.variables,
        }
        document = example.document.replace('"…"', f'"{PASSWORD}"')
        for operation in parse(document).definitions:
            assert isinstance(operation, OperationDefinitionNode)
            if operation.operation is OperationType.SUBSCRIPTION:
                await subscribed(demo_shop, document, anna)
                continue
            names = {each.variable.name.value for each in operation.variable_definitions or ()}
            data = await answered(anna, document, operation, {n: variables[n] for n in names & variables.keys()})
            assert outcomes(data) == [], example


async def answered(
    client: Client, document: str, operation: OperationDefinitionNode, variables: dict[str, Any]
) -> dict[str, Any]:
    body = {"query": document, "variables": variables, "operationName": operation.name and operation.name.value}
    answer = await client.http.post("/graphql", json=body, headers={"authorization": f"Bearer {client.token}"})
    assert "errors" not in answer.json(), answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def subscribed(shop: Shop, document: str, client: Client) -> None:
    await listening(shop)
    events = Events(shop, document, client.token)
    status, headers = await events.start()
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    await events.go_away()


async def test_the_page_that_is_shown_has_a_next_one(demo_shop: Shop) -> None:
    (shown,) = [example for example in EXAMPLES if example.page == "docs/pagination.md"]
    found = (await demo_shop.client().ask(shown.document))["products"]
    assert found["totalCount"] > len(found["edges"]) > 0


async def test_the_tour_can_be_taken(demo_shop: Shop) -> None:
    """Each step with what the steps before it gave."""
    visitor = await demo_shop.anonymous()
    known: dict[str, str] = {}
    for step in tour():
        data = await visitor.ask(string.Template(step).substitute(known))
        assert outcomes(data) == [], step
        if "recommendations" in data and not known:
            (shown,) = data["recommendations"]["nodes"]
            known |= {"SHOWN": shown["id"], "PRODUCT": shown["product"]["id"]}
        if "recordSwipe" in data:
            known["SWIPE"] = data["recordSwipe"]["swipe"]["id"]
        if "node" in data:
            assert data["node"] == {"id": known["SWIPE"]}
    assert known.keys() == {"SHOWN", "PRODUCT", "SWIPE"}
