"""What callers send never becomes a part of a statement's text, and never changes anything but data."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from db.session import Session
from tests.conftest import Shop

MARK = "zqx"
HOSTILE = [
    f"{MARK}'; drop table public.products; --",
    f'{MARK}"; delete from public.products; --',
    f"{MARK} $1 :subject :key :n0_cursor_0 %s {{0}} {{v[0]}}",
    f"{MARK}\\' or '1'='1",
    f"{MARK}*/ union select * from public.profiles /*",
    f"{MARK}{{__import__('os')}}",
    f"{MARK}\u2028\u0000\ufeff",
]
COUNTS = (
    "select (select count(*) from public.products) as products, (select count(*) from public.profiles) as people,"
    " (select count(*) from public.swipes) as swipes, (select count(*) from public.categories) as categories"
)
CATALOGUE = """
query ($s: String!, $id: ID!, $d: Decimal) {
  product(id: $id) { id name }
  node(id: $id) { id }
  nodes(ids: [$id]) { id ... on Product { brand { name } } }
  products(search: $s) { nodes { name } }
  tagged: products(filter: {tags: [$s], brandSlugs: [$s], categorySlug: $s, minPrice: $d}) { totalCount }
  brands(search: $s) { nodes { name } totalCount }
  quiz(locale: $s) { locale }
  giftFinder(input: {occasion: $s, relationship: $s, categorySlugs: [$s]}) { nodes { id } }
}
"""
CURSORS = """
query ($s: String!) {
  me {
    swipes(after: $s) { nodes { id } }
    affiliateClicks(after: $s) { nodes { id } }
    giftLinks(after: $s) { totalCount }
  }
}
"""


@pytest.fixture
def statements(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The text of every statement from here on."""
    seen: list[str] = []
    for name in ("run", "run_last"):
        proper = getattr(Session, name)

        async def note(self: Session, sql: str, arguments: Any, proper: Any = proper) -> Any:
            seen.append(sql)
            return await proper(self, sql, arguments)

        monkeypatch.setattr(Session, name, note)
    return seen


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_no_text_of_a_caller_gets_into_a_statement(shop: Shop, statements: list[str], hostile: str) -> None:
    anna = await shop.anonymous()
    await anna.swipe((await anna.products(first=1))[0]["id"], "UP")
    before = await shop.owner.fetchrow(COUNTS)
    ids = [hostile, base64.urlsafe_b64encode(f"Product:{hostile}".encode()).decode().rstrip("=")]
    for each in ids:
        await anna.post(CATALOGUE, s=hostile, id=each, d="1")
    await anna.post(CURSORS, s=hostile)
    await anna.post(CURSORS, s=base64.urlsafe_b64encode(hostile.encode()).decode().rstrip("="))
    await anna.post(CATALOGUE, s="book", id=ids[0], d=hostile)
    assert len(statements) > 10
    assert [sql for sql in statements if MARK in sql] == []
    assert await shop.owner.fetchrow(COUNTS) == before


async def test_aliases_are_nothing_but_keys_of_the_answer(shop: Shop) -> None:
    """Names that mean something to the functions that write, to Python or to Postgres."""
    names = ["v", "run", "null", "f1", "p0", "lambda", "__class__", "__import__", "select", "S" * 100, "_"]
    fields = " ".join(f"{name}: name" for name in names)
    data = await shop.client().ask(
        f"{{ v: products(first: 2) {{ run: nodes {{ {fields} x: brand {{ null: name }} }} }} }}"
    )
    for node in data["v"]["run"]:
        brand = node.pop("x")
        assert brand is None or set(brand) == {"null"}
        assert list(node) == names
        assert len(set(node.values())) == 1


async def test_a_huge_selection_is_answered_or_refused(shop: Shop) -> None:
    """Of a nested row more columns may be asked for than Postgres puts into one array: then it is not compiled."""
    engine = shop.engine
    many = " ".join(f"a{i}: name b{i}: slug" for i in range(4))
    data = await shop.client().ask(f"{{ categories {{ products(first: 1) {{ nodes {{ category {{ {many} }} }} }} }} }}")
    assert len(data["categories"][0]["products"]["nodes"][0]["category"]) == 8
    deep = "parent { slug brand: name " * 30 + "}" * 30
    chain = f"{{ categories {{ products(first: 1) {{ nodes {{ category {{ {deep} }} }} }} }} }}"
    assert await shop.client().code(chain) == "GRAPHQL_VALIDATION_FAILED"
    wide = " ".join(f"p{i}: parent {{ " + "parent { name slug } " + "}" for i in range(60))
    before = engine.counts.copy()
    body = (await shop.client().post(f"{{ products(first: 2) {{ nodes {{ name category {{ {wide} }} }} }} }}")).json()
    assert "errors" not in body
    assert sum((engine.counts - before).values()) == 1
