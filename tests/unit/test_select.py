"""The builder of selects: outputs have a name and a position, relations are joins, what is below a row is nested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from db.pages import PageRequest
from db.queries import Fragment
from db.rows import BY_NAME, Order, RowType, ToMany, ToOne
from plan.errors import NotPlanned
from plan.select import MAX_NESTED_OUTPUTS, FromClause, Select
from tests.unit.plans import Aliases, Connection

BRANDS = RowType("Brand", "public.brands", ("id", "name"), dict)
NEWEST = Order.by("NEWEST", "r.created_at", "timestamptz", descending=True)
NOTES = RowType("Note", "public.notes", ("id", "text"), dict, owner="user_id")
PRODUCTS = RowType("Product", "public.products", ("id", "brand_id"), dict)
BRAND_OF_PRODUCT = ToOne(lambda: BRANDS, "brand_id")
NOTE_OF_PRODUCT = ToOne(lambda: NOTES, "id", by="product_id")
NOTES_OF_PRODUCT = ToMany(lambda: NOTES, "id", "product_id", "r.text", limit=30, where="r.text <> ''")
SOURCE = FromClause("public.products p0", " where p0.id = :key::uuid")


@pytest.fixture
def aliases() -> Aliases:
    return Aliases()


@pytest.fixture
def products(aliases: Aliases) -> Select:
    return Select(PRODUCTS, aliases)


def page_of_brands(where: Fragment = Fragment("r.is_active", {})) -> Connection:
    request = PageRequest(BRANDS, NEWEST, 2, False, None, where, "r.maker_id = parent.key")
    return Connection(request)


def test_an_output_keeps_its_position_however_often_it_is_asked_for(products: Select) -> None:
    first, second = products.column(products.root, "id"), products.column(products.root, "brand_id")
    assert (first, second, products.column(products.root, "id")) == (0, 1, 0)
    assert products.text(SOURCE, {}) == "select p0.id, p0.brand_id from public.products p0 where p0.id = :key::uuid"


def test_a_column_as_text_is_another_output(products: Select) -> None:
    assert products.column(products.root, "tags") != products.column(products.root, "tags", as_text=True)
    assert products.text(SOURCE, {}).startswith("select p0.tags, p0.tags::text from")


def test_rows_of_which_nothing_is_read_are_rows_still(products: Select) -> None:
    assert products.text(SOURCE, {}).startswith("select 1 from public.products p0")


def test_outputs_of_a_source_stand_at_the_end_by_name(products: Select) -> None:
    products.column(products.root, "id")
    source = FromClause("public.products p0", "", {"page_key": "p0.key", "page_total": "(select 3)"})
    assert products.text(source, {}) == "select p0.id, p0.key as page_key, (select 3) as page_total from " + (
        "public.products p0"
    )


def test_a_relation_is_joined_once(products: Select) -> None:
    brand = products.join(products.root, BRAND_OF_PRODUCT)
    assert products.join(products.root, BRAND_OF_PRODUCT) is brand
    products.column(brand, "name")
    assert products.text(SOURCE, {}) == (
        "select j1.name from public.products p0 left join public.brands j1 on j1.id = p0.brand_id"
        " where p0.id = :key::uuid"
    )


def test_rows_that_somebody_owns_are_tied_to_the_caller(products: Select) -> None:
    products.join(products.root, NOTE_OF_PRODUCT)
    assert "on j1.product_id = p0.id and j1.user_id = :subject::uuid" in products.text(SOURCE, {})


def test_a_list_below_a_row_is_one_output_of_it(products: Select, aliases: Aliases) -> None:
    notes = Select(NOTES, aliases)
    notes.column(notes.root, "text")
    assert products.nest_list(products.root, NOTES_OF_PRODUCT, notes) == 0
    assert products.text(SOURCE, {}) == (
        "select (select coalesce(json_agg(json_build_array(p1.text) order by p1.row_number), '[]')"
        " from (select s.*, row_number() over () as row_number from (select r.id, r.text from public.notes r"
        " where r.product_id = p0.id and r.user_id = :subject::uuid and (r.text <> '') order by r.text limit 30) s) p1)"
        " from public.products p0 where p0.id = :key::uuid"
    )


def test_a_page_below_a_row_is_told_when_the_text_is_made(products: Select, aliases: Aliases) -> None:
    brands = Select(BRANDS, aliases)
    brands.column(brands.root, "name")
    products.nest_page(products.root, "maker_id", brands)
    products.nest_total(products.root, "maker_id", brands)
    page = page_of_brands(Fragment("r.name = :name", {"name": "x"}))
    text = products.text(SOURCE, {"p1": page})
    assert "where (r.name = :p1_name) and (r.maker_id = p0.maker_id) order by r.created_at desc, r.id desc" in text
    assert "(select count(*) from public.brands r where (r.name = :p1_name) and (r.maker_id = p0.maker_id))" in text
    assert "limit 3" in text  # one more, which says whether there is more
    backward = Connection(replace(page.request, backward=True))
    assert "order by r.created_at asc, r.id asc limit 3" in products.text(SOURCE, {"p1": backward})


def test_two_pages_have_parameters_of_their_own(products: Select, aliases: Aliases) -> None:
    for _ in range(2):
        products.nest_page(products.root, "maker_id", Select(BRANDS, aliases))
    page = page_of_brands(Fragment("r.name = :name", {"name": "x"}))
    text = products.text(SOURCE, {"p1": page, "p2": page})
    assert text.count(":p1_name") == text.count(":p2_name") == 1


def test_a_page_within_a_page_goes_over_the_row_above_it(products: Select, aliases: Aliases) -> None:
    outer, inner = Select(BRANDS, aliases), Select(BRANDS, aliases)
    outer.nest_page(outer.root, "maker_id", inner)
    products.nest_page(products.root, "maker_id", outer)
    text = products.text(SOURCE, {"p1": page_of_brands(), "p2": page_of_brands()})
    assert "r.maker_id = p0.maker_id" in text
    assert "r.maker_id = p1.maker_id" in text


def test_an_order_that_is_shorter_than_others_has_nulls_for_the_rest(products: Select, aliases: Aliases) -> None:
    brands = Select(BRANDS, aliases)
    for index in range(3):
        brands.sort_value(index)
    products.nest_page(products.root, "maker_id", brands)
    page = page_of_brands()
    assert "json_build_array(p1.sort_0, p1.sort_1, null)" in products.text(SOURCE, {"p1": page})
    by_name = Connection(replace(page.request, order=BY_NAME))
    assert "json_build_array(p1.sort_0, p1.sort_1, p1.sort_2)" in products.text(SOURCE, {"p1": by_name})


def test_more_outputs_than_a_json_array_takes_are_refused_before_anything_runs(
    products: Select, aliases: Aliases
) -> None:
    notes = Select(NOTES, aliases)
    for number in range(MAX_NESTED_OUTPUTS):
        notes.column(notes.root, f"c{number}")
    products.nest_list(products.root, NOTES_OF_PRODUCT, notes)
    notes.column(notes.root, "one_more")
    with pytest.raises(NotPlanned, match="columns"):
        products.nest_list(products.root, NOTES_OF_PRODUCT, notes)
