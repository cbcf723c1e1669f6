"""Renderers: from a row's outputs to JSON text, by functions generated of names that the request does not choose."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from graphql import FieldNode, GraphQLSchema, OperationDefinitionNode, build_schema, parse

from db.rows import Column, RowType, ToMany, ToOne
from plan.codegen import Expression, Render, RenderFunction, call, look_up, output, unless_null
from plan.compiler import Compiler
from plan.errors import Mismatch, NotPlanned
from plan.fields import Attribute, Field
from plan.leaves import Memo, string
from plan.renderers import RowRenderer, render_rows
from plan.selections import Selections
from plan.steps import RowStep

SCHEMA: GraphQLSchema = build_schema("""
type Query { product: Product }
type Product {
  name: String! note: String price: Price! tags: [String!]! code: ID! secret: String!
  brand: Brand maker: Brand! reviews: [Review!]! odd: Int
}
type Price { amount: Int! currency: String! }
type Brand { name: String! site: String }
type Review { text: String! stars: Int }
""")


class PriceOf:
    def __init__(self, amount: int, currency: str) -> None:
        self.amount = amount
        self.currency = currency


BRANDS = RowType("Brand", "public.brands", ("id", "name", "site"), dict)
REVIEWS = RowType("Review", "public.reviews", ("id", "text", "stars"), dict)
FIELDS: Mapping[str, Mapping[str, Field]] = {
    "Product": {
        "name": Column(("name",)),
        "note": Column(("note",)),
        "price": Column(("amount", "currency"), read=PriceOf),
        "tags": Column(("tags",)),
        "code": Column(("id",), read=lambda key: f"code-{key}", is_plain=True),
        "secret": Column(("name",), read=lambda context, name: f"{context} {name}", with_context=True),
        "brand": ToOne(lambda: BRANDS, "brand_id"),
        "maker": ToOne(lambda: BRANDS, "maker_id"),
        "reviews": ToMany(lambda: REVIEWS, "id", "product_id", "r.id", limit=10),
        "odd": Attribute("odd"),
    },
    "Price": {"amount": Attribute("amount"), "currency": Attribute("currency")},
    "Brand": {"name": Column(("name",)), "site": Column(("site",))},
    "Review": {"text": Column(("text",)), "stars": Column(("stars",))},
}
PRODUCTS = RowType("Product", "public.products", ("id", "name"), dict)


class Declared:
    """See plan.fields.Fields."""

    def field(self, type_name: str, field_name: str) -> Field:
        return FIELDS[type_name][field_name]

    def row_type(self, type_name: str) -> RowType | None:
        return {"Product": PRODUCTS, "Brand": BRANDS, "Review": REVIEWS}.get(type_name)

    def is_page(self, type_name: str) -> bool:
        return False

    def type_name(self, value: Any) -> str:
        raise NotImplementedError


class RunWith:
    """A run, as far as these renderers look at it."""

    def __init__(self, context: str) -> None:
        self.context = context


def compiled(selected: str) -> Render:
    """The renderer of what is selected of a product."""
    operation = parse(f"{{ product {{ {selected} }} }}").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    (node,) = operation.selection_set.selections
    assert isinstance(node, FieldNode)
    compiler = Compiler(SCHEMA, Declared(), Selections(SCHEMA, {}, {}))
    step = RowStep(PRODUCTS, compiler.new_alias)
    return RowRenderer(compiler, step).compile(step.select.root, "Product", [node])


def rendered(selected: str, *row: Any) -> Any:
    render: Any = compiled(selected)
    return json.loads(render(row, RunWith("told"), None))


def test_outputs_are_read_in_the_order_in_which_they_are_selected() -> None:
    assert rendered("name code price { currency amount }", "Vase", 7, 300, "GBP") == {
        "name": "Vase",
        "code": "code-7",
        "price": {"currency": "GBP", "amount": 300},
    }


def test_a_column_that_is_selected_twice_is_read_twice_from_one_output() -> None:
    assert rendered("name other: name kind: __typename", "Vase") == {
        "name": "Vase",
        "other": "Vase",
        "kind": "Product",
    }


def test_an_object_may_have_many_members() -> None:
    """Python compiles long f-strings in another way."""
    keys = [f"key_{number}" for number in range(300)]
    assert rendered(" ".join(f"{key}: note" for key in keys), "x") == dict.fromkeys(keys, "x")


def test_nothing_selected_but_the_type_takes_no_output() -> None:
    assert rendered("__typename") == {"__typename": "Product"}


@pytest.mark.parametrize("text", ['"quoted"', "back\\slash", "{braces} %s", "ünï 🎁", "' + secret + '"])
def test_a_value_is_escaped_and_never_read_as_anything_else(text: str) -> None:
    assert rendered("name note tags", text, text, [text]) == {"name": text, "note": text, "tags": [text]}


def test_null_is_null_where_it_may_be_and_a_mismatch_elsewhere() -> None:
    assert rendered("note", None) == {"note": None}
    with pytest.raises(TypeError):
        rendered("name", None)


def test_a_field_may_need_the_context() -> None:
    assert rendered("secret", "Vase") == {"secret": "told Vase"}


def test_a_row_that_is_joined_is_there_where_a_column_that_is_never_null_is() -> None:
    brand = "brand { site name }"  # outputs: site, name
    assert rendered(brand, None, "Kiln") == {"brand": {"site": None, "name": "Kiln"}}
    assert rendered(brand, None, None) == {"brand": None}


def test_a_joined_row_of_which_nothing_is_sure_is_told_by_its_key() -> None:
    assert rendered("brand { site }", None, 5) == {"brand": {"site": None}}
    assert rendered("brand { site }", None, None) == {"brand": None}


def test_a_joined_row_that_must_be_there_and_is_not_is_a_mismatch() -> None:
    with pytest.raises(Mismatch):
        rendered("maker { name }", None)


@pytest.mark.parametrize("rows", ['[["good", 5], ["poor", null]]', [["good", 5], ["poor", None]]], ids=["text", "rows"])
def test_rows_of_a_nested_select_come_as_text_or_as_lists(rows: Any) -> None:
    assert rendered("reviews { text stars }", rows) == {
        "reviews": [{"text": "good", "stars": 5}, {"text": "poor", "stars": None}]
    }


def test_an_attribute_of_a_row_is_not_planned() -> None:
    with pytest.raises(NotPlanned, match="attribute of a row"):
        compiled("odd")


def test_rows_are_rendered_with_what_was_resolved_for_each() -> None:
    def render(row: Any, run: Any, resolved: Any) -> str:
        return f"{row}{'' if resolved is None else resolved[0]}"

    run: Any = None
    assert render_rows(render, ["a", "b"], run, None) == ["a", "b"]
    assert render_rows(render, ["a", "b"], run, [["1"], ["2"]]) == ["a1", "b2"]


def test_response_keys_and_texts_are_no_source() -> None:
    function = RenderFunction()
    function.add_fixed("a", '"{x!r}"')
    function.add("b\"}'", call(function.bind(string), output(0)))
    function.add("c", output(1), is_plain=True)
    function.add("d", unless_null(output(2), look_up(function.bind(Memo(str)), output(2), output(0))))
    run: Any = None
    text = function.compile()(["x", "plain", 3], run, None)
    assert text == '{"a":"{x!r}","b"}\'":"x","c":"plain","d":(3, \'x\')}'


@pytest.mark.parametrize(
    "source", ["__import__('os')", "row.x", "name", "len(row)", "b1:=row", "'text'", "row}' or f'{row", "row!r"]
)
def test_an_expression_of_other_names_is_refused(source: str) -> None:
    function = RenderFunction()
    function.add("a", Expression(source))
    with pytest.raises(ValueError, match="bound"):
        function.compile()
