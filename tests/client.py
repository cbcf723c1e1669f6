"""A GraphQL client for tests: asserts what most tests take for granted, returns plain data."""

from __future__ import annotations

import secrets
from typing import Any

import httpx

from db import instrument_files
from db.instruments import SHIPPED

START = """
mutation { startSession(input: {landingPage: "/tests"}) { accessToken refreshToken sessionId userErrors { message } } }
"""
SIGN_UP = """
mutation ($input: SignUpInput!) {
  signUp(input: $input) { accessToken refreshToken profile { id } userErrors { code message field } }
}
"""
ME = "{ me { id } }"
PRODUCTS = """
query ($first: Int, $filter: ProductFilter, $orderBy: ProductOrder! = NAME) {
  products(first: $first, filter: $filter, orderBy: $orderBy) { nodes { id name category { slug } tags } }
}
"""
SWIPE = """
mutation ($input: SwipeInput!) {
  recordSwipe(input: $input) {
    swipe { id direction strength product { id } }
    preferences { totalSwipes rightSwipes confidence categories { slug score } }
    userErrors { code message field }
  }
}
"""
FEED = """
query ($first: Int, $after: String, $filter: ProductFilter) {
  recommendations(first: $first, after: $after, filter: $filter) {
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    nodes {
      id context rank score confidence isExplored generatedAt
      reasons { code text weight }
      product { id name category { slug } }
    }
  }
}
"""
EXPLAINED_FEED = FEED.replace("reasons {", "explanation { code text weight source { kind key } } reasons {")
QUIZ = "{ quiz { version locale questions { id text options { value label } } } }"
SUBMIT = """
mutation ($input: SubmitQuizInput!) {
  submitQuiz(input: $input) {
    personality { id primaryType secondaryTypes confidence scores { trait percentile } questionsAnswered }
    assessment { id quality questionsAnswered trigger }
    note
    userErrors { code message field }
  }
}
"""
QUIZ_ITEMS = instrument_files.load(SHIPPED).instrument.items


class Client:
    def __init__(self, http: httpx.AsyncClient, token: str | None = None) -> None:
        self.http = http
        self.token = token
        self.refresh_token: str | None = None

    async def post(self, query: str, /, **variables: Any) -> httpx.Response:
        """The raw response."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)

    async def ask(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """`data` of an answer that has no errors."""
        body = (await self.post(query, **variables)).json()
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    async def do(self, mutation: str, /, **variables: Any) -> dict[str, Any]:
        """The payload of a document with one mutation, whose userErrors must be empty."""
        (payload,) = (await self.ask(mutation, **variables)).values()
        assert payload["userErrors"] == []
        result: dict[str, Any] = payload
        return result

    async def refusal(self, mutation: str, /, **variables: Any) -> dict[str, Any]:
        """The first userError of a document with one mutation."""
        (payload,) = (await self.ask(mutation, **variables)).values()
        assert payload["userErrors"], payload
        error: dict[str, Any] = payload["userErrors"][0]
        return error

    async def code(self, query: str, /, **variables: Any) -> str:
        """extensions.code of the first error of an answer that has errors."""
        body = (await self.post(query, **variables)).json()
        assert body.get("errors"), body
        code: str = body["errors"][0]["extensions"]["code"]
        return code

    async def start_session(self) -> Client:
        payload = await self.do(START)
        self.token, self.refresh_token = payload["accessToken"], payload["refreshToken"]
        return self

    async def sign_up(self, email: str, password: str) -> Client:
        payload = await self.do(SIGN_UP, input={"email": email, "password": password})
        self.token, self.refresh_token = payload["accessToken"], payload["refreshToken"]
        return self

    async def my_id(self) -> str:
        """The global id of the caller's profile."""
        found: str = (await self.ask(ME))["me"]["id"]
        return found

    async def products(self, **variables: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ask(PRODUCTS, **variables))["products"]["nodes"]
        return found

    async def product(self, name: str) -> dict[str, Any]:
        """The product of this name among the first hundred."""
        return next(p for p in await self.products(first=100) if p["name"] == name)

    async def swipe(self, product_id: str, direction: str = "RIGHT", **more: Any) -> dict[str, Any]:
        given = {"productId": product_id, "direction": direction, "clientSwipeId": secrets.token_hex(8), **more}
        return await self.do(SWIPE, input=given)

    async def feed(self, document: str = FEED, **variables: Any) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask(document, **variables))["recommendations"]
        return found

    async def take_quiz(self, high: set[str], **more: Any) -> dict[str, Any]:
        """Answers the whole quiz so that the traits of these prefixes (adv, int, pra, cre, soc) score highest, others
        lowest."""
        version = (await self.ask(QUIZ))["quiz"]["version"]
        answers = [
            {"questionId": item.code, "value": 5 if (item.trait[:3] in high) != item.is_reversed else 1}
            for item in QUIZ_ITEMS
        ]
        return await self.do(SUBMIT, input={"version": version, "answers": answers, **more})
