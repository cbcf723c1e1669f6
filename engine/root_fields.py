"""The fields that stand at the root of an operation, fragments followed."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, OperationDefinitionNode, SelectionSetNode

# Operations that are dearer than what they answer: they hash passwords, make rows for somebody unknown, or rank a
# catalogue. In values.
SURCHARGES = {
    "signIn": 500,
    "signUp": 500,
    "startSession": 500,
    "resetPassword": 500,
    "changePassword": 500,
    "recommendations": 100,
    "giftFinder": 100,
}


def root_fields(
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    *,
    without_conditions: bool = False,
) -> dict[str, str]:
    """Names by response key. `without_conditions` leaves out what stands under a directive."""
    found: dict[str, str] = {}
    seen: set[str] = set()

    def walk(selections: SelectionSetNode) -> None:
        for selection in selections.selections:
            if without_conditions and selection.directives:
                continue
            if isinstance(selection, FieldNode):
                found[(selection.alias or selection.name).value] = selection.name.value
            elif not isinstance(selection, FragmentSpreadNode):
                walk(selection.selection_set)  # type: ignore[attr-defined]
            elif selection.name.value not in seen:
                seen.add(selection.name.value)
                walk(fragments[selection.name.value].selection_set)

    walk(operation.selection_set)
    return found


def surcharge(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> int:
    """What an operation is charged beside the values of its answer, for each time that such a field stands in it."""
    return sum(SURCHARGES.get(name, 0) for name in root_fields(operation, fragments).values())
