"""Which answers may be cached, because they are the same for every caller: those with catalogue data only.

Types that are not listed here have no public fields; every field of a listed type is public, also one added later,
except for PRIVATE_FIELDS.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from graphql import (
    FieldNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    ListValueNode,
    OperationDefinitionNode,
    OperationType,
    StringValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_composite_type,
)

from domain import ids
from plan.walker import Fragments, Walker

if TYPE_CHECKING:
    from engine.documents import Operation

PUBLIC_ROOTS = frozenset(
    {"product", "products", "productFacets", "suggest", "categories", "brands", "retailers", "quiz"}
)
PUBLIC_TYPES = frozenset(
    {
        "Product",
        "ProductConnection",
        "ProductEdge",
        "ProductOffer",
        "PricePoint",
        "Money",
        "PageInfo",
        "ProductFacets",
        "CategoryFacet",
        "BrandFacet",
        "RetailerFacet",
        "TagFacet",
        "PriceBand",
        "Suggestions",
        "Category",
        "Brand",
        "BrandConnection",
        "BrandEdge",
        "Retailer",
        "Quiz",
        "QuizQuestion",
        "QuizOption",
        "Recommendation",  # of `Product.similar`: no other field that is public leads to one
        "RecommendationReason",
        "ReasonSource",
    }
)
PUBLIC_IDS = PUBLIC_TYPES - {"Recommendation"}  # a person's own recommendations have ids of the same type
PRIVATE_FIELDS = frozenset({("Recommendation", "generatedAt")})  # now, for similar products

NODE_ROOTS = {"node": "id", "nodes": "ids"}  # the argument that says of what: of public types, they are public, too


@dataclass(frozen=True, slots=True)
class Public:
    """A query whose answer is the same for every caller, if these arguments are ids of public types."""

    ids: tuple[ValueNode, ...] = ()


def public_of(schema: GraphQLSchema, fragments: Fragments, operation: OperationDefinitionNode) -> Public | None:
    """What is known of a valid operation; None if its answer depends on the caller."""
    arguments: list[ValueNode] = []

    def of_field(node: FieldNode, parent: GraphQLNamedType | None) -> bool:
        name = node.name.value
        if name == "__typename":
            return True
        if isinstance(parent, GraphQLInterfaceType):
            return name == "id"
        if not isinstance(parent, GraphQLObjectType) or name not in parent.fields:
            return False  # introspection
        type_ = get_named_type(parent.fields[name].type)
        if parent is schema.query_type and name in NODE_ROOTS:
            arguments.extend(each.value for each in node.arguments or () if each.name.value == NODE_ROOTS[name])
            return walker.fold(node.selection_set, type_)
        if (parent.name, name) in PRIVATE_FIELDS:
            return False
        if name not in PUBLIC_ROOTS if parent is schema.query_type else parent.name not in PUBLIC_TYPES:
            return False
        if is_composite_type(type_) and type_.name not in PUBLIC_TYPES:
            return False
        return walker.fold(node.selection_set, type_)

    walker: Walker[GraphQLNamedType | None, bool] = Walker(
        fragments, of_field, all, cyclic=True, narrow=lambda _, condition: schema.get_type(condition.name.value)
    )
    is_public = operation.operation is OperationType.QUERY and walker.fold(operation.selection_set, schema.query_type)
    return Public(tuple(arguments)) if is_public else None


def key_of(operation: Operation, variables: Mapping[str, Any] | None, served: bytes) -> bytes | None:
    """The key of a public answer: all that it depends on beside the rows. `served`: of the code and the settings.
    Variables are compared as they were sent, so that 1, 1.0 and "1" differ; those that the operation does not declare
    are left out. None if the answer is not public, or the variables cannot be compared."""
    given = variables or {}
    if operation.public is None or not all(_are_public(each, given) for each in operation.public.ids):
        return None
    names = [each.variable.name.value for each in operation.node.variable_definitions or ()]
    try:
        sent = msgspec.json.encode({name: given[name] for name in names if name in given}, order="deterministic")
    except (OverflowError, TypeError, ValueError, RecursionError):
        return None
    key = hashlib.blake2b(served, digest_size=32)
    for part in (operation.digest, sent):
        key.update(len(part).to_bytes(4, "big"))
        key.update(part)
    return key.digest()


def _are_public(node: ValueNode, variables: Mapping[str, Any]) -> bool:
    """Whether a literal or a variable is an id of a public type, or a list of such."""
    if isinstance(node, ListValueNode):
        return all(_are_public(each, variables) for each in node.values)
    if isinstance(node, VariableNode):
        value = variables.get(node.name.value)
        return all(map(_is_public_id, value)) if isinstance(value, list) else _is_public_id(value)
    return isinstance(node, StringValueNode) and _is_public_id(node.value)


def _is_public_id(value: Any) -> bool:
    decoded = ids.decode(value) if isinstance(value, str) else None
    return decoded is not None and decoded[0] in PUBLIC_IDS
