"""Which responses a shared cache may store, because they are the same for every caller: those with catalogue data only.

Types that are not listed here have no public fields; every field of a listed type is public, also one added later.
"""

from __future__ import annotations

from graphql import (
    FieldNode,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_named_type,
    is_composite_type,
)

from plan.walker import Fragments, Walker

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
    }
)


def is_public(schema: GraphQLSchema, fragments: Fragments, operation: OperationDefinitionNode) -> bool:
    """Whether a valid query selects public fields only."""

    def of_field(node: FieldNode, parent: GraphQLNamedType | None) -> bool:
        name = node.name.value
        if name == "__typename":
            return True
        if not isinstance(parent, GraphQLObjectType) or name not in parent.fields:
            return False  # an interface, which may be anything, or introspection
        if parent is schema.query_type and name not in PUBLIC_ROOTS:
            return False
        type_ = get_named_type(parent.fields[name].type)
        if is_composite_type(type_) and type_.name not in PUBLIC_TYPES:
            return False
        return walker.fold(node.selection_set, type_)

    walker: Walker[GraphQLNamedType | None, bool] = Walker(
        fragments, of_field, all, cyclic=True, narrow=lambda _, condition: schema.get_type(condition.name.value)
    )
    return operation.operation is OperationType.QUERY and walker.fold(operation.selection_set, schema.query_type)
