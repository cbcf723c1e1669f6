"""The cache of public answers cannot be poisoned, says nothing of a caller, and never takes more than its memory."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import msgspec
import pytest

from db.session import Session
from engine.caching import PUBLIC_ROOTS, key_of
from engine.requests import Request
from server import create_app
from settings import Settings
from tests.conftest import SECRET, Shop
from tests.streams import until

PRODUCTS = "query ($first: Int) { products(first: $first, orderBy: NAME) { nodes { id name } } }"
FILTERED = "query ($f: ProductFilter) { products(first: 50, filter: $f, orderBy: NAME) { nodes { name } } }"
# What public answers are read from, in addition to tables whose rows never change after a release.
WITHOUT_NOTIFICATION = {
    "public.quiz_questions": "private.renew_quiz_revisions() writes quiz_versions",
    "public.quiz_texts": "as quiz_questions",
    "public.quiz_traits": "as quiz_questions",
    "private.quiz_norms": "as quiz_questions",
    "public.model_lists": "written with a row of recommendation_models, or of products",
    "public.model_weights": "read by the version that a row of recommendation_models names",
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, public_cache_bytes=1_000_000)


@pytest.fixture
async def shop(shop: Shop) -> Shop:
    await until(lambda: shop.services.database.changes.heard_until > 0)
    return shop


async def post(http: httpx.AsyncClient, query: str, headers: dict[str, str] | None = None, **variables: Any) -> Any:
    """The body of the answer, and where it came from."""
    body = {"query": query, "variables": variables}
    response = await http.post("/graphql", json=body, headers={"x-aclue-receipt": "1", **(headers or {})})
    answer = response.json()
    receipt = answer.pop("extensions")["receipt"]
    return answer, receipt["cacheHits"].get("answer")


async def test_only_what_is_public_is_cached(shop: Shop) -> None:
    person = await shop.account()
    headers = {"authorization": f"Bearer {person.token}"}
    for document in (
        "{ me { id } products(first: 1) { nodes { id } } }",
        "{ products(first: 1) { nodes { personalityMatch { match } } } }",
        "{ products(first: 1) { nodes { origin { line } } } }",
        "{ products(first: 1) { nodes { similar(first: 1) { product { personalityMatch { match } } } } } }",
        "{ products(first: 1) { nodes { similar(first: 1) { generatedAt } } } }",
        "{ recommendations(first: 1) { nodes { id } } }",
        "query ($with: Boolean = false) { products(first: 1) { nodes { id } } me @include(if: $with) { id } }",
    ):
        for _ in range(2):
            assert (await post(shop.http, document, headers))[1] is None
    assert shop.services.public_answers.size == 0


async def test_nodes_are_cached_only_of_what_is_public(shop: Shop) -> None:
    """Of anything else even its existence is the owner's affair."""
    one, other = await shop.anonymous(), await shop.anonymous()
    product = (await one.products())[0]["id"]
    swipe = (await one.swipe(product, "RIGHT"))["swipe"]["id"]
    shown = (await one.feed())["nodes"][0]["id"]
    shop.services.public_answers.drop()
    headers = {"authorization": f"Bearer {one.token}"}
    by_id = "query ($id: ID!) { node(id: $id) { id ... on Product { name } } }"
    by_ids = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on Product { name } } }"
    for document, variables in (
        (by_id, {"id": swipe}),
        (by_id, {"id": shown}),
        (by_id, {"id": "nonsense"}),
        (by_id, {"id": 5}),
        (by_ids, {"ids": [product, swipe]}),
        (by_ids, {"ids": swipe}),
        (by_ids, {"ids": [shown]}),
        (f'{{ nodes(ids: ["{product}", "{swipe}"]) {{ id }} }}', {}),
        (f'query ($id: ID! = "{swipe}") {{ node(id: $id) {{ id }} }}', {}),
        (f'query ($id: ID = "{swipe}") {{ nodes(ids: ["{product}", $id]) {{ id }} }}', {"id": None}),
        (f'{{ a: node(id: "{product}") {{ id }} b: node(id: "{swipe}") {{ id }} }}', {}),
        (f'fragment F on Query {{ node(id: "{swipe}") {{ id }} }} {{ brands {{ nodes {{ id }} }} ...F }}', {}),
        (f'{{ node(id: "{product}") {{ ... on Product {{ personalityMatch {{ match }} }} }} }}', {}),
        (f'{{ node(id: "{product}") {{ ... on Swipe {{ direction }} }} }}', {}),
    ):
        assert (await post(shop.http, document, headers, **variables))[1] is None, (document, variables)
    assert shop.services.public_answers.size == 0
    for document, variables in ((by_id, {"id": product}), (by_ids, {"ids": [product]}), (by_ids, {"ids": product})):
        told = await post(shop.http, document, headers, **variables)
        assert told[1] == "miss"
        for token in one.token, other.token, None:
            others = {"authorization": f"Bearer {token}"} if token else {}
            assert await post(shop.http, document, others, **variables) == (told[0], "hit")
    page = await shop.http.get("/graphql", params={"query": f'{{ node(id: "{product}") {{ id }} }}'})
    assert page.headers["cache-control"] == "private, no-store"


async def test_similar_products_are_cached_until_the_next_model(shop: Shop) -> None:
    """A model changes neither the product nor those like it, but ids name it."""
    one, other = await shop.account(), await shop.anonymous()
    product = (await one.products())[0]["id"]
    shop.services.public_answers.drop()
    document = (
        "query ($id: ID!) { product(id: $id) { similar(first: 3) { id score reasons { text } product { id } } } }"
    )
    headers = {"authorization": f"Bearer {one.token}"}
    answer, source = await post(shop.http, document, headers, id=product)
    assert (source, len(answer["data"]["product"]["similar"])) == ("miss", 3)
    for token in one.token, other.token:
        told = await post(shop.http, document, {"authorization": f"Bearer {token}"}, id=product)
        assert told == (answer, "hit")
    generation = shop.services.public_answers._generation
    await shop.owner.execute("select private.refresh_model()")
    await until(lambda: shop.services.public_answers._generation > generation)
    newest, source = await post(shop.http, document, headers, id=product)
    assert source == "miss"
    old, new = (each["data"]["product"]["similar"] for each in (answer, newest))
    assert [each["product"] for each in old] == [each["product"] for each in new]
    assert not {each["id"] for each in old} & {each["id"] for each in new}


async def test_a_person_fills_the_cache_as_anybody_would(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claims of whoever asks first never reach Postgres with a read whose answer others get."""
    roles: list[tuple[str, str]] = []
    watched = Session._watched

    async def watch(self: Session, *arguments: Any, **options: Any) -> Any:
        roles.append((self.claims.role, self.claims.subject_text))
        return await watched(self, *arguments, **options)

    person = await shop.account()
    monkeypatch.setattr(Session, "_watched", watch)
    answer, source = await post(shop.http, PRODUCTS, {"authorization": f"Bearer {person.token}"}, first=3)
    assert (source, roles) == ("miss", [("anon", "")])
    assert await post(shop.http, PRODUCTS, first=3) == (answer, "hit")


@pytest.mark.parametrize(
    "headers",
    [
        {"accept-language": "de"},
        {"accept": "application/graphql-response+json"},
        {"cookie": "currency=USD; session=1"},
        {"x-forwarded-host": "evil.example", "x-forwarded-for": "203.0.113.9", "forwarded": "host=evil.example"},
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"user-agent": "<script>alert(1)</script>"},
        {"x-original-url": "/admin", "x-http-method-override": "PUT"},
        {"cache-control": "no-store", "pragma": "no-cache"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_no_header_changes_what_others_are_told(shop: Shop, headers: dict[str, str]) -> None:
    expected, _ = await post(shop.http, PRODUCTS, first=3)
    shop.services.public_answers.drop()
    poisoned, source = await post(shop.http, PRODUCTS, headers, first=3)
    assert source == "miss"
    assert poisoned == expected
    assert await post(shop.http, PRODUCTS, first=3) == (expected, "hit")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"f": {"inStock": True}}, {"f": {"inStock": 1}}),
        ({"f": {"minPrice": "10"}}, {"f": {"minPrice": "10.0001"}}),
        ({"f": {"minPrice": 10}}, {"f": {"minPrice": "10"}}),
        ({"f": {"minPrice": 10}}, {"f": {"minPrice": 1e400}}),
        ({"f": {"brandSlugs": ["alder"]}}, {"f": {"brandSlugs": "alder"}}),
        ({"f": {"brandSlugs": ["alder", "birch"]}}, {"f": {"brandSlugs": ["alder,birch"]}}),
        ({"f": {"brandSlugs": []}}, {"f": {"brandSlugs": None}}),
        ({"f": {"categorySlug": "books"}}, {"f": {"categorySlug": "books\x00"}}),
        ({"f": {"categorySlug": "books"}}, {"f": {"categorySlug": "Books"}}),
        ({"f": {}}, {"f": {"unknown": 1}}),
        ({"f": None}, {"f": 0}),
        ({}, {"f": False}),
    ],
)
async def test_variables_that_look_alike_share_no_answer(
    shop: Shop, one: dict[str, Any], other: dict[str, Any]
) -> None:
    """Each is answered as on a server that has cached nothing, in either order."""

    async def told(variables: dict[str, Any]) -> Any:
        content = json.dumps({"query": FILTERED, "variables": variables})
        response = await shop.http.post("/graphql", content=content, headers={"content-type": "application/json"})
        return response.json()

    expected = []
    for variables in (one, other):
        shop.services.public_answers.drop()
        expected.append(await told(variables))
    for order in ((0, 1), (1, 0)):
        shop.services.public_answers.drop()
        for which in order:
            assert await told((one, other)[which]) == expected[which]


async def test_keys_tell_what_answers_depend_on_and_nothing_else(shop: Shop) -> None:
    def key(text: str, variables: dict[str, Any] | None = None, name: str | None = None) -> bytes | None:
        operation = shop.engine.prepare(Request(text, variables, name)).operation
        assert operation is not None
        return key_of(operation, variables, b"")

    same = key(PRODUCTS, {"first": 1})
    assert same == key(PRODUCTS, {"first": 1, "undeclared": "x" * 1000})
    assert key(FILTERED, {"f": {"inStock": True, "tags": ["a"]}}) == key(
        FILTERED, {"f": {"tags": ["a"], "inStock": True}}
    )
    two = "query A($first: Int) { brands(first: $first) { totalCount } }"
    two += " query B($first: Int) { retailers(first: $first) { id } }"
    different = [
        same,
        key(PRODUCTS, {"first": 2}),
        key(PRODUCTS, {"first": 1.0}),
        key(PRODUCTS, {"first": "1"}),
        key(PRODUCTS, {"first": True}),
        key(PRODUCTS, {"first": None}),
        key(PRODUCTS, {}),
        key(PRODUCTS.replace("name", "title: name"), {"first": 1}),
        key(PRODUCTS + " ", {"first": 1}),
        key(two, {"first": 1}, "A"),
        key(two, {"first": 1}, "B"),
    ]
    assert len(set(different)) == len(different)


async def test_aliases_keep_their_names(shop: Shop) -> None:
    one, _ = await post(shop.http, "{ a: brands(first: 1) { nodes { name } } }")
    other, _ = await post(shop.http, "{ b: brands(first: 1) { nodes { name } } }")
    assert (set(one["data"]), set(other["data"])) == ({"a"}, {"b"})


async def test_a_stranger_with_many_questions_takes_no_more_memory(shop: Shop) -> None:
    for start in range(0, 2000, 5):
        documents = [
            f'{{ products(first: 5, search: "gift {n}") {{ nodes {{ name }} }} }}' for n in range(start, start + 5)
        ]
        await asyncio.gather(*(post(shop.http, document) for document in documents))
        assert shop.services.public_answers.size <= 1_000_000
    assert not shop.services.public_answers._flights


async def test_limits_hold_for_cached_answers(shop: Shop) -> None:
    settings = msgspec.structs.replace(shop.services.settings, rate_limit_cost=500)
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        statuses = [
            (await http.post("/graphql", json={"query": PRODUCTS, "variables": {"first": 20}})).status_code
            for _ in range(30)
        ]
    assert statuses[0] == 200
    assert statuses[-1] == 429


async def test_a_bad_token_is_refused_though_the_answer_is_cached(shop: Shop) -> None:
    await post(shop.http, PRODUCTS, first=3)
    body = {"query": PRODUCTS, "variables": {"first": 3}}
    response = await shop.http.post("/graphql", json=body, headers={"authorization": "Bearer forged"})
    assert response.status_code == 401


async def test_every_table_that_public_answers_show_notifies_of_its_changes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The locks that a transaction holds tell which tables it has read, also in functions."""
    read: set[str] = set()
    watched = Session._watched

    async def watch(self: Session, sql: str, arguments: Any, *, is_last: bool = False) -> Any:
        rows = await watched(self, sql, arguments)
        if self.claims.role != "anon":
            return rows
        locks = await watched(
            self,
            "select format('%I.%I', n.nspname, c.relname) as name from pg_locks l join pg_class c on c.oid = l.relation"
            " join pg_namespace n on n.oid = c.relnamespace"
            " where l.pid = pg_backend_pid() and c.relkind in ('r', 'p') and n.nspname in ('public', 'private')",
            (),
        )
        read.update(row["name"] for row in locks)
        return rows

    monkeypatch.setattr(Session, "_watched", watch)
    product = (
        "id name disclosure price { amount } offers { price { amount } retailer { name } } priceHistory { validFrom }"
    )
    product += " similar(first: 2) { id reasons { text } explanation { source { key } } product { id } }"
    product += " variants { id } category { parent { name } children { name } } brand { name } retailer { name }"
    everything = f"""{{
      products(first: 2, search: "campng", filter: {{minPrice: 1, collapseVariants: true, categorySlug: "camping"}}) {{
        totalCount nodes {{ {product} }} }}
      one: products(first: 1, filter: {{brandSlugs: ["alder"]}}) {{ nodes {{ id }} }}
      productFacets(search: "campng") {{
        categories {{ count }} brands {{ count }} retailers {{ count }} tags {{ count }} priceBands {{ count }} }}
      suggest(prefix: "al") {{ products {{ id }} brands {{ id }} categories {{ id }} tags }}
      categories {{ name products(first: 1) {{ nodes {{ id }} }} }}
      brands {{ nodes {{ name }} }}
      retailers {{ name }}
      quiz {{ questions {{ text options {{ label }} }} }}
      product(id: "x") {{ id }}
    }}"""
    assert set(shop.engine.prepare(Request(everything)).operation.root_fields.values()) == PUBLIC_ROOTS  # type: ignore[union-attr]
    for document in everything, everything.replace("campng", "camping"):
        answer, source = await post(shop.http, document)
        assert (source, answer.get("errors")) == ("miss", None)
    notified = {
        row["name"]
        for row in await shop.owner.fetch(
            "select format('%I.%I', n.nspname, c.relname) as name"
            " from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace"
            " where tgfoid = 'private.tell_catalogue'::regproc group by 1 having count(*) = 4"
        )
    }
    assert read >= {"public.products", "public.quiz_versions", "private.search_variants", "private.suggestions"}
    assert read - WITHOUT_NOTIFICATION.keys() <= notified


async def test_nothing_that_public_answers_show_depends_on_the_clock(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes with time alone, such as a sale, is written when it does, and notified then."""
    ran: list[str] = []
    watched = Session._watched

    async def watch(self: Session, sql: str, *arguments: Any, **options: Any) -> Any:
        ran.append(sql)
        return await watched(self, sql, *arguments, **options)

    monkeypatch.setattr(Session, "_watched", watch)
    for root in (
        'products(first: 2, search: "camping") { nodes { price { amount } salePrice { amount } inStock offers '
        "{ salePrice { amount } } priceHistory { validFrom } variants { id } } }",
        "productFacets { priceBands { count } tags { count } }",
        'suggest(prefix: "c") { products { id } tags }',
        "retailers { id }",
        "brands { nodes { id } }",
        "categories { id }",
        "quiz { version }",
    ):
        await post(shop.http, f"{{ {root} }}")
    assert len(ran) > 8
    functions = await shop.owner.fetch(
        "select prosrc from pg_proc where pronamespace = 'private'::regnamespace and proname ~ '^(search|suggest)'"
    )
    for text in [*ran, *(row["prosrc"] for row in functions)]:
        for clock in ("now()", "clock_timestamp", "current_timestamp", "current_date", "localtime", "random()"):
            assert clock not in text, text
