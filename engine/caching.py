"""Which answers are the same for everybody, so that a shared cache may keep them: those made of the catalogue alone.

A type that is not named here has no public fields; a field that is added to a named type is public with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_composite_type,
)

PUBLIC_ROOTS = frozenset({"product", "products", "categories", "brands", "retailers", "quiz"})
PUBLIC_TYPES = frozenset(
    {
        "Product",
        "ProductConnection",
        "ProductEdge",
        "ProductOffer",
        "PricePoint",
        "Money",
        "PageInfo",
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


def is_public(
    schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], operation: OperationDefinitionNode
) -> bool:
    """Whether a valid query asks for nothing but public fields."""
    checked: set[str] = set()

    def are_public(selections: SelectionSetNode | None, parent: object) -> bool:
        return all(of(selection, parent) for selection in (selections.selections if selections else ()))

    def of(selection: object, parent: object) -> bool:
        if isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name in checked:
                return True
            checked.add(name)
            fragment = fragments[name]
            return are_public(fragment.selection_set, schema.get_type(fragment.type_condition.name.value))
        if not isinstance(selection, FieldNode):
            condition = selection.type_condition  # type: ignore[attr-defined]
            inner = schema.get_type(condition.name.value) if condition else parent
            return are_public(selection.selection_set, inner)  # type: ignore[attr-defined]
        if selection.name.value == "__typename":
            return True
        if not isinstance(parent, GraphQLObjectType) or selection.name.value not in parent.fields:
            return False  # an interface, which may be anything, or introspection
        if parent is schema.query_type and selection.name.value not in PUBLIC_ROOTS:
            return False
        type_ = get_named_type(parent.fields[selection.name.value].type)
        if is_composite_type(type_) and type_.name not in PUBLIC_TYPES:
            return False
        return are_public(selection.selection_set, type_)

    return operation.operation is OperationType.QUERY and are_public(operation.selection_set, schema.query_type)
