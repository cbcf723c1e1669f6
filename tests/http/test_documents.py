"""Documents: what is read, what is refused, and that none of them hangs."""

from __future__ import annotations

import asyncio

from graphql import get_introspection_query

from engine.errors import MAX_MESSAGE
from tests.conftest import Shop

HANGS = 60  # seconds; far more than any answer takes


async def answer(shop: Shop, query: str) -> tuple[int, str | None]:
    """(status, code of the first error or None)."""
    async with asyncio.timeout(HANGS):
        response = await shop.http.post(
            "/graphql", json={"query": query}, headers={"accept": "application/graphql-response+json"}
        )
    errors = response.json().get("errors")
    return response.status_code, errors[0]["extensions"]["code"] if errors else None


def nested(levels: int) -> str:
    """A query `levels` fields deep."""
    above = levels - 4
    return "{ products { nodes { category { " + "parent { " * above + "id" + " }" * above + " } } } }"


async def test_an_answer_repeats_no_long_alias(shop: Shop) -> None:
    for length, expected in ((100, (200, None)), (101, (400, "GRAPHQL_VALIDATION_FAILED"))):
        alias = "a" * length
        for query in (
            f"{{ {alias}: __typename }}",
            f"{{ products(first: 2) {{ nodes {{ {alias}: price {{ __typename }} }} }} }}",
            f"{{ products(first: 2) {{ nodes {{ ...F }} }} }} fragment F on Product {{ brand {{ {alias}: name }} }}",
        ):
            assert await answer(shop, query) == expected, (length, query[:60])


async def test_syntax_errors(shop: Shop) -> None:
    for query in (
        "",
        " ",
        "{",
        "{ me { id }",
        "query A B { me }",
        "{ me(: 1) }",
        '{ products(search: "\\uD800") { id } }',
    ):
        assert await answer(shop, query) == (400, "GRAPHQL_PARSE_FAILED"), query


async def test_an_error_says_where(shop: Shop) -> None:
    body = (await shop.client().post("{\n  nothing\n}")).json()
    assert body["errors"][0]["locations"] == [{"line": 2, "column": 3}]
    assert "nothing" in body["errors"][0]["message"]
    assert "requestId" not in body["errors"][0]["extensions"]


async def test_validation_errors(shop: Shop) -> None:
    for query in (
        "{ nothing }",
        "{ me }",
        "{ me { id { x } } }",
        "{ products(first: 1.5) { totalCount } }",
        '{ products(first: "1") { totalCount } }',
        "{ products(orderBy: CHEAP) { totalCount } }",
        "{ products(orderBy: null) { totalCount } }",
        "{ products(colour: 1) { totalCount } }",
        "{ product { id } }",
        "query ($x: Int) { me { id } }",
        "query { products(first: $x) { totalCount } }",
        "query ($x: String) { products(first: $x) { totalCount } }",
        "{ ...F }",
        "fragment F on Query { me { id } }",
        "{ ...F } fragment F on Query { ...F }",
        "{ ...F } fragment F on Nothing { id }",
        "{ a: me { id } a: products { totalCount } }",
        "query A { me { id } } query A { me { id } }",
        "subscription { preferencesUpdated { nothing } }",
        "{ me @nothing { id } }",
        "type Query { x: Int }",
    ):
        assert await answer(shop, query) == (400, "GRAPHQL_VALIDATION_FAILED"), query


async def test_depth_has_a_limit(shop: Shop) -> None:
    most = shop.services.settings.max_document_depth
    assert await answer(shop, nested(most)) == (200, None)
    assert await answer(shop, nested(most + 1)) == (400, "GRAPHQL_VALIDATION_FAILED")


async def test_fragments_do_not_hide_depth(shop: Shop) -> None:
    levels = shop.services.settings.max_document_depth
    fragments = "".join(f"fragment F{i} on Category {{ parent {{ ...F{i + 1} }} }} " for i in range(levels))
    query = f"{{ categories {{ ...F0 }} }} {fragments} fragment F{levels} on Category {{ id }}"
    assert await answer(shop, query) == (400, "GRAPHQL_VALIDATION_FAILED")


async def test_ten_thousand_levels_are_refused(shop: Shop) -> None:
    many = 10_000
    for query in (
        "{ a" * many + "}" * many,
        "{ ... " * many + "{ me { id } }" + "}" * many,
        "query ($x: " + "[" * many + "Int" + "]" * many + ") { me { id } }",
        "{ products(filter: {tags: " + "[" * many + "]" * many + "}) { totalCount } }",
        "{ products(filter: " + "{a: " * many + "1" + "}" * many + ") { totalCount } }",
        "{ ...F0 }" + "".join(f"fragment F{i} on Query {{ ...F{i + 1} }}" for i in range(many)),
    ):
        status, code = await answer(shop, query)
        assert (status, code) == (400, "GRAPHQL_PARSE_FAILED"), query[:40]


async def test_nesting_of_every_size_is_answered(shop: Shop) -> None:
    """Just below and above what a stack holds, a recursion must not become an internal error."""
    for many in (50, 120, 200, 250, 330, 400, 500, 620):
        for query in (
            "{ ... " * many + "{ me { id } }" + "}" * many,
            "query ($x: " + "[" * many + "Int" + "]" * many + ") { me { id } }",
            "{ products(filter: {tags: " + "[" * many + "]" * many + "}) { totalCount } }",
            "{ ...F0 }"
            + "".join(f"fragment F{i} on Query {{ ...F{i + 1} }}" for i in range(many))
            + f"fragment F{many} on Query {{ me {{ id }} }}",
        ):
            _, code = await answer(shop, query)
            assert code in {None, "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"}, (many, query[:40])


async def test_tokens_have_a_limit(shop: Shop) -> None:
    ids = shop.services.settings.max_document_tokens - 12  # { nodes ( ids : [ ] ) { id } }
    for more, expected in ((0, (200, "BAD_USER_INPUT")), (1, (400, "GRAPHQL_PARSE_FAILED"))):
        query = f"{{ nodes(ids: [{','.join(['1'] * (ids + more))}]) {{ id }} }}"
        assert await answer(shop, query) == expected


async def test_fragments_spread_twice_each_are_measured_without_following_each(shop: Shop) -> None:
    """2^60 spreads when each is followed."""
    fragments = "".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }} " for i in range(60))
    query = f"{{ ...F0 ...F0 }} {fragments} fragment F60 on Query {{ me {{ id }} }}"
    assert await answer(shop, query) == (400, "GRAPHQL_VALIDATION_FAILED")


async def test_a_number_that_is_too_long_for_python_is_refused_in_our_words(shop: Shop) -> None:
    digits = "9" * 5000
    (error,) = (await shop.client().post(f"{{ products(first: {digits}) {{ totalCount }} }}")).json()["errors"]
    assert error["message"].startswith("Expected value of type 'Int', found: 999")
    assert len(error["message"]) == MAX_MESSAGE


async def test_fragments_that_multiply_fields_are_refused(shop: Shop) -> None:
    """6^5 products of a document of 300 tokens; with a few tokens more it would be millions."""
    fragments = "".join(
        f"fragment F{i} on Product {{ "
        + " ".join(f"a{j}: similar(first: 1) {{ product {{ ...F{i + 1} }} }}" for j in range(6))
        + " } "
        for i in range(5)
    )
    query = f"{{ products(first: 1) {{ nodes {{ ...F0 }} }} }} {fragments} fragment F5 on Product {{ id }}"
    assert await answer(shop, query) in {(400, "COST_LIMIT_EXCEEDED"), (400, "GRAPHQL_VALIDATION_FAILED")}


async def test_lists_that_multiply_are_refused(shop: Shop) -> None:
    """100^3 products."""
    query = "{ products(first: 100) { nodes { category { products(first: 100) { nodes { category { products(first: 100)"
    query += " { nodes { id } } } } } } } } }"
    assert await answer(shop, query) in {(400, "COST_LIMIT_EXCEEDED"), (400, "GRAPHQL_VALIDATION_FAILED")}


async def test_answers_that_would_be_long_are_refused(shop: Shop) -> None:
    pages = " ".join(f"p{n}: products(first: 50) {{ nodes {{ description }} }}" for n in range(8))
    assert await shop.client().code(f"{{ {pages} }}") == "COST_LIMIT_EXCEEDED"
    assert len(await shop.client().ask(f"{{ {pages.replace('description', 'name')} }}")) == 8


async def test_a_document_is_answered_alike_the_second_time(shop: Shop) -> None:
    for query in ("{ me { id } }", "{ nothing }", "{", nested(40)):
        assert await answer(shop, query) == await answer(shop, query)


async def test_introspection_as_tools_ask_it(shop: Shop) -> None:
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    schema = (await shop.client().ask(query))["__schema"]
    assert schema["queryType"]["name"] == "Query"
    assert schema["mutationType"]["name"] == "Mutation"
    assert {"Product", "Recommendation", "Profile"} <= {entry["name"] for entry in schema["types"]}
