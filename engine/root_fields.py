"""Root fields of an operation, fragments expanded."""

from __future__ import annotations

from collections.abc import Iterable

from graphql import FieldNode, OperationDefinitionNode

from plan.walker import Fragments, Walker


def root_fields(
    operation: OperationDefinitionNode, fragments: Fragments, *, without_conditions: bool = False
) -> dict[str, str]:
    """Names of root fields by response key. `without_conditions` leaves out selections with a directive."""

    def of_field(node: FieldNode, state: None) -> dict[str, str]:
        return {(node.alias or node.name).value: node.name.value}

    walker: Walker[None, dict[str, str]] = Walker(
        fragments,
        of_field,
        _merged,
        cyclic={},
        includes=(lambda selection: not selection.directives) if without_conditions else None,
    )
    return walker.fold(operation.selection_set, None)


def _merged(found: Iterable[dict[str, str]]) -> dict[str, str]:
    return {key: name for names in found for key, name in names.items()}
