"""What people ask in a day, and how often: the requests of bench/day.py.

Somebody reads a feed, swipes what it showed, and reads the next one; some open a product's page, follow a link to a
shop, or answer a question of the quiz. All swipes are of products that their feed showed, once there was one.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import count, cycle
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bench.questions import ACLUE, DIRECTIONS, FEED, POSTGRAPHILE, PRODUCTS, RECORD

SHARES = {"feed": 40, "swipe": 35, "page": 15, "click": 5, "quiz": 1, "rest": 4}
"""Percent of all requests."""
DECK = [kind for kind, share in SHARES.items() for _ in range(share)]
COMPARED = ("feed", "swipe", "page", "rest")
"""The kinds that PostGraphile can answer, too."""
WORDS = ("lamp", "wooden", "tea", "garden", "leather", "game", "silver", "wool")


class Server(Enum):
    """Which server is asked, and in whose words: the app's, or those that have the same answer elsewhere."""

    APP = "app"
    ACLUE = ACLUE
    POSTGRAPHILE = POSTGRAPHILE


_CARD = "id name imageUrl price { amount currencyCode } brand { name } category { name }"
_FEED = (
    f"query Feed {{ recommendations(first: 20) {{ nodes {{ id score reasons {{ text }} product {{ {_CARD} }} }} }} }}"
)
_SWIPE = (
    "mutation Swipe($input: SwipeInput!) { recordSwipe(input: $input) "
    "{ swipe { id } preferences { totalSwipes } userErrors { code } } }"
)
_PAGE = (
    f"query Page($id: ID!) {{ product(id: $id) {{ {_CARD} description regularPrice {{ amount }} images tags inStock "
    "disclosure offers { id price { amount currencyCode } shipping { amount } inStock retailer { name } } "
    "similar(first: 6) { id product { id name imageUrl price { amount currencyCode } } } } }"
)
_CLICK = (
    "mutation Click($input: AffiliateClickInput!) { createAffiliateClick(input: $input) "
    "{ click { redirectUrl } userErrors { code } } }"
)
_QUIZ = "query Quiz { quiz { version minAnswers questions { id text options { value label } } } }"
_ANSWER = "mutation Answer($input: SaveQuizAnswersInput!) { saveQuizAnswers(input: $input) { userErrors { code } } }"
_LIST = f"query List {{ products(first: 20) {{ nodes {{ {_CARD} }} pageInfo {{ endCursor hasNextPage }} }} }}"
_SEARCH = f"query Search($text: String!) {{ products(first: 20, search: $text) {{ nodes {{ {_CARD} }} }} }}"
_HISTORY = (
    "query History { me { swipes(first: 20) { nodes { id direction createdAt product { id name imageUrl } } } } }"
)
_PREFERENCES = "query Preferences { me { id displayName preferences { totalSwipes categories { name score } } } }"
_VIEWS = (
    "mutation Views($input: RecordProductViewsInput!) { recordProductViews(input: $input) "
    "{ recorded userErrors { code } } }"
)

# The same page in both languages.
_PAGES = {
    Server.ACLUE: "query ($id: ID!) { product(id: $id) { id name description price { amount currencyCode } "
    "brand { name } category { name } offers { id price { amount currencyCode } retailer { name } } } }",
    Server.POSTGRAPHILE: "query ($id: UUID!) { product: productByRowId(rowId: $id) { id: rowId name description "
    "priceMinor currency brand: brandByBrandId { name } category: categoryByCategoryId { name } "
    "offers: productOffersByProductId(first: 10, condition: {isActive: true}) "
    "{ nodes { id: rowId priceMinor currency retailer: retailerByRetailerId { name } } } } }",
}

_IDS = re.compile(rb'"id":"([^"]+)"')
_LINK = re.compile(rb'"redirectUrl":"([^"]+)"')


@dataclass(slots=True)
class Asked:
    """What somebody knows: the token, the products of the last feed, each with its recommendation, and a link."""

    head: bytes
    turn: int
    shown: list[tuple[str, str]] = field(default_factory=list)
    link: str = ""

    @classmethod
    def of(cls, place: int, token: str) -> Asked:
        """Everybody has a network of their own."""
        address = f"10.{place >> 16 & 255}.{place >> 8 & 255}.{place & 255}"
        head = f"host: bench\r\nauthorization: Bearer {token}\r\nx-forwarded-for: {address}\r\n"
        return cls(head.encode(), place)


class Mix:
    """Makes requests. `quiz`: its version, and the ids of its questions."""

    def __init__(self, server: Server, products: list[str], quiz: tuple[str, list[str]]) -> None:
        self._server = server
        self._products: Iterator[str] = cycle(products)
        self._version, self._questions = quiz
        self._run = secrets.token_hex(4)
        self._numbers = count()
        self._others: Iterator[Callable[[Asked], bytes]] = cycle(
            [self._list, self._search, self._history, self._preferences, self._views]
        )

    def request(self, kind: str, asked: Asked) -> bytes:
        """The bytes of somebody's next request of this kind."""
        asked.turn += 1
        made: bytes = getattr(self, f"_{kind}")(asked)
        return made

    def learn(self, kind: str, asked: Asked, answer: bytes) -> None:
        """Remembers what an answer showed."""
        if self._server is not Server.APP:
            return
        if kind == "feed":
            ids = [found.decode() for found in _IDS.findall(answer)]
            asked.shown = list(zip(ids[::2], ids[1::2], strict=True))
        elif kind == "click" and (link := _LINK.search(answer)):
            asked.link = urlsplit(link[1].decode()).path

    def _ask(self, asked: Asked, document: str, variables: Any = None) -> bytes:
        body = msgspec.json.encode({"query": document, "variables": variables} if variables else {"query": document})
        return b"POST /graphql HTTP/1.1\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b" % (
            asked.head,
            len(body),
            body,
        )

    def _hello(self, asked: Asked) -> bytes:
        return self._ask(asked, "{ __typename }")

    def _feed(self, asked: Asked) -> bytes:
        return self._ask(asked, _FEED if self._server is Server.APP else FEED.documents[self._server.value])

    def _swipe(self, asked: Asked) -> bytes:
        direction = DIRECTIONS[asked.turn % len(DIRECTIONS)]
        own_id = f"bench-{self._run}-{next(self._numbers)}"
        if self._server is not Server.APP:
            variables = RECORD.variables(self._server.value, [])
            swipe = variables["input"] if self._server is Server.ACLUE else variables
            swipe |= {"productId": next(self._products), "clientSwipeId": own_id}
            return self._ask(asked, RECORD.documents[self._server.value], variables)
        recommendation, product = asked.shown.pop() if asked.shown else (None, next(self._products))
        swipe = {"productId": product, "direction": direction.upper(), "clientSwipeId": own_id}
        return self._ask(asked, _SWIPE, {"input": {**swipe, "recommendationId": recommendation}})

    def _page(self, asked: Asked) -> bytes:
        product = asked.shown[0][1] if asked.shown else next(self._products)
        return self._ask(asked, _PAGES.get(self._server, _PAGE), {"id": product})

    def _click(self, asked: Asked) -> bytes:
        """A link is made, and then followed."""
        if asked.link:
            path, asked.link = asked.link, ""
            return b"GET %b HTTP/1.1\r\nuser-agent: Mozilla/5.0 Chrome/130.0 Mobile Safari/537.36\r\n%b\r\n" % (
                path.encode(),
                asked.head,
            )
        return self._ask(asked, _CLICK, {"input": {"productId": next(self._products), "sourcePage": "discover"}})

    def _quiz(self, asked: Asked) -> bytes:
        if asked.turn % 2:
            return self._ask(asked, _QUIZ)
        answer = {"questionId": self._questions[asked.turn % len(self._questions)], "value": 1 + asked.turn % 5}
        return self._ask(asked, _ANSWER, {"input": {"version": self._version, "answers": [answer]}})

    def _rest(self, asked: Asked) -> bytes:
        if self._server is not Server.APP:
            return self._ask(asked, PRODUCTS.documents[self._server.value])
        return next(self._others)(asked)

    def _list(self, asked: Asked) -> bytes:
        return self._ask(asked, _LIST)

    def _search(self, asked: Asked) -> bytes:
        return self._ask(asked, _SEARCH, {"text": WORDS[asked.turn % len(WORDS)]})

    def _history(self, asked: Asked) -> bytes:
        return self._ask(asked, _HISTORY)

    def _preferences(self, asked: Asked) -> bytes:
        return self._ask(asked, _PREFERENCES)

    def _views(self, asked: Asked) -> bytes:
        view = {"id": _uuid7(), "productId": next(self._products), "sourcePage": "discover", "durationSeconds": 7}
        return self._ask(asked, _VIEWS, {"input": {"views": [view]}})


def _uuid7() -> str:
    text = f"{time.time_ns() // 1_000_000:012x}7{secrets.token_hex(9)[:3]}8{secrets.token_hex(9)[:15]}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
