"""Decimal, DateTime and JSON on their way in and out."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.conftest import Shop

DEAREST = "query ($price: Decimal) { products(filter: {maxPrice: $price}) { totalCount } }"
SINCE = "query ($since: DateTime) { me { analytics(since: $since) { sessions } } }"
KEEP = """
mutation ($json: JSON) {
  updateProfile(input: {statedPreferences: $json}) { profile { statedPreferences } userErrors { code } }
}
"""


async def test_a_decimal_is_read_exactly(shop: Shop) -> None:
    for price in ("12", "12.00", "12.0", 12, 12.0, "1.2e1", "0012"):
        assert (await shop.client().ask(DEAREST, price=price))["products"]["totalCount"] == 15, price


async def test_what_is_no_decimal_is_the_callers_mistake(shop: Shop) -> None:
    for price in ("", "x", "12,00", "NaN", "Infinity", "1e9999", True, [], {}, "1" * 41):
        assert await shop.client().code(DEAREST, price=price) == "BAD_USER_INPUT", price


async def test_what_is_no_decimal_in_the_document_does_not_validate(shop: Shop) -> None:
    for price in ('"NaN"', '"x"', "true", "1e9999", "RED"):
        query = f"{{ products(filter: {{maxPrice: {price}}}) {{ totalCount }} }}"
        assert await shop.client().code(query) == "GRAPHQL_VALIDATION_FAILED", price


async def test_a_decimal_goes_out_as_a_string_with_the_decimals_of_its_currency(shop: Shop) -> None:
    await shop.owner.execute(
        """
        update public.products set price_minor = 100000000000, currency = 'GBP' where name = 'Tools 1';
        update public.products set price_minor = 1200, currency = 'JPY' where name = 'Tools 2';
        update public.products set price_minor = 1200, currency = 'KWD' where name = 'Tools 3';
        """
    )
    found = await shop.client().ask("{ products(first: 100) { nodes { name price { amount } } } }")
    prices = {p["name"]: p["price"]["amount"] for p in found["products"]["nodes"]}
    assert (prices["Tools 1"], prices["Tools 2"], prices["Tools 3"]) == ("1000000000.00", "1200", "1.200")


async def test_a_moment_goes_out_in_utc_and_comes_in_with_any_offset(shop: Shop) -> None:
    anna = await shop.anonymous()
    await shop.owner.execute("update public.user_sessions set created_at = '2026-05-01 12:00:00+00'")
    await shop.owner.execute("update public.profiles set created_at = '2026-05-01 13:00:00.5+01'")
    created = (await anna.ask("{ me { createdAt } }"))["me"]["createdAt"]
    assert created.endswith("Z")
    assert datetime.fromisoformat(created) == datetime(2026, 5, 1, 12, 0, 0, 500_000, UTC)
    for since, sessions in (
        ("2026-05-01T12:00:00Z", 1),
        ("2026-05-01T14:00:00+02:00", 1),
        ("2026-05-01T11:00:01-01:00", 0),
        ("2026-05-01t12:00:00z", 1),
        ("2026-05-01T12:00:00.000001Z", 0),
        ("2026-05-01T12:00:00.0000000009Z", 1),
        ("2025-12-31T23:59:60Z", 1),
        ("2026-01-01T00:59:60+01:00", 1),
    ):
        assert (await anna.ask(SINCE, since=since))["me"]["analytics"]["sessions"] == sessions, since


async def test_what_is_no_moment_is_the_callers_mistake(shop: Shop) -> None:
    anna = await shop.anonymous()
    for since in (
        "",
        "yesterday",
        "2026-05-01T12:00:00",
        "2026-02-30T12:00:00Z",
        "2026-W01-1T00:00:00Z",
        "2026-001T00:00:00Z",
        "20260501T120000Z",
        "2026-05-01T12:00:00,5Z",
        "2026-05-01T12:00:00+0530",
        "2026-05-01T12:00:00+05",
        "2026-05-01T12:00Z",
        "2026-05-01 12:00:00Z",
        "2026-05-01",
        "2026-05-01T24:00:00Z",
        "2026-05-01T12:00:60Z",
        "2026-05-01T12:00:00+24:00",
        "2026-05-01T12:00:00+00:00:01",
        "٢٠٢٦-05-01T12:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        1777636800,
        True,
    ):
        assert await anna.code(SINCE, since=since) == "BAD_USER_INPUT", since


async def test_json_comes_back_as_it_was_given(shop: Shop) -> None:
    anna = await shop.anonymous()
    given = {"likes": ["tea", None, True, 1, 1.5, "é\U0001f600"], "deep": {"er": [[], {}]}, "": "", "n": 2**53}
    assert (await anna.do(KEEP, json=given))["profile"]["statedPreferences"] == given
    literal = KEEP.replace("($json: JSON)", "").replace("$json", '{a: 1, b: [1.5, "x", true, null], c: {d: {}}}')
    kept = (await anna.do(literal))["profile"]["statedPreferences"]
    assert kept == {"a": 1, "b": [1.5, "x", True, None], "c": {"d": {}}}


async def test_a_variable_within_json(shop: Shop) -> None:
    anna = await shop.anonymous()
    query = KEEP.replace("$json: JSON", "$json: String!").replace("s: $json}", "s: {name: $json}}")
    assert (await anna.do(query, json="Anna"))["profile"]["statedPreferences"] == {"name": "Anna"}


async def test_enum_values_and_ids_of_the_wrong_kind(shop: Shop) -> None:
    query = """
    query ($orderBy: ProductOrder!, $id: ID!) { products(orderBy: $orderBy) { totalCount } product(id: $id) { id } }
    """
    client = shop.client()
    assert (await client.ask(query, orderBy="NAME", id=7))["product"] is None
    for variables in (
        {"orderBy": "name", "id": "x"},
        {"orderBy": 1, "id": "x"},
        {"orderBy": None, "id": "x"},
        {"orderBy": "NAME", "id": None},
        {"orderBy": "NAME", "id": 1.5},
        {"orderBy": "NAME"},
    ):
        assert await client.code(query, **variables) == "BAD_USER_INPUT", variables
