"""Arguments of one operation, and the variables that stand in them."""

from __future__ import annotations

from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_required_argument,
)

from domain import ids
from domain.pages import DEFAULT_SIZE, MAX_SIZE
from tests.differential.scopes import Used
from tests.differential.values import Values, Variable, literal
from tests.differential.world import ORDERS


class Arguments:
    """Writes arguments. `used` is what the operation declares; `hints` are the types that the last field's ids are
    of."""

    def __init__(self, values: Values, random: Random) -> None:
        self.used = Used()
        self.hints: list[str] = []
        self._values = values
        self._random = random

    def of(self, parent: GraphQLObjectType, name: str, field_: GraphQLField, times: int) -> tuple[str, int]:
        """The arguments as text, and the page size that follows from them."""
        given: dict[str, Any] = {}
        self.hints = []
        for argument, definition in field_.args.items():
            if argument in ("first", "last", "after", "before"):
                continue
            share = 0.25 if len(field_.args) > 2 else 0.6
            if is_required_argument(definition) or self._random.random() < share:
                given[argument] = self._values.argument(name, definition.type, argument)
        size = self._page(f"{parent.name}.{name}", field_, given, times) if "first" in field_.args else DEFAULT_SIZE
        wanted = given.get("ids", given.get("id"))
        if wanted is not None and isinstance(get_named_type(field_.type), GraphQLInterfaceType):
            texts = wanted if isinstance(wanted, list) else [wanted]
            self.hints = [decoded[0] if (decoded := ids.decode(text)) else "Recommendation" for text in texts]
            size = max(1, len(texts))
        if "boost" in given and self._random.random() < 0.9:  # by chance it names one thing hardly ever
            given["boost"] = [{"tag": "gift", "factor": self._random.choice((0.5, 1, 2))}]
        parts = []
        for argument, value in given.items():
            text = self._value(field_.args[argument], value, argument)
            parts.append(f"{argument}: {text}")
        self._random.shuffle(parts)
        return (f"({', '.join(parts)})" if parts else ""), size

    def _page(self, coordinate: str, field_: GraphQLField, given: dict[str, Any], times: int) -> int:
        """Chooses first, after, last and before; a cursor needs the arguments that it was made with."""
        roll, size = self._random.random(), self._values.page()
        if roll < 0.08 and times == 1:
            return DEFAULT_SIZE  # not given
        if "last" in field_.args and roll < 0.25:
            given["last"] = size
            if roll < 0.16:
                self._place("before", coordinate, given)
            elif roll < 0.17:
                self._place("after", coordinate, given)
        else:
            given["first"] = size
            if "after" in field_.args and roll < 0.6:
                self._place("after", coordinate, given)
            if "last" in field_.args and roll > 0.99:
                given["last"] = 2
        return max(1, min(size, MAX_SIZE))

    def _place(self, argument: str, coordinate: str, given: dict[str, Any]) -> None:
        """Gives a cursor, where the caller has one."""
        if coordinate.endswith(".products"):
            order = self._random.choice(ORDERS)
            if "search" in given and given["search"] == "camping":
                order = "RELEVANCE"
            given["orderBy"] = order
            coordinate = f"{coordinate} {order}"
        elif coordinate == "Query.giftFinder":
            given["input"] = {"traits": ["CREATIVE"]}
        elif coordinate == "Query.recommendations" and self._random.random() < 0.95:
            given.pop("filter", None)
            given.pop("excludeIds", None)
            given.pop("boost", None)
        cursor = self._values.cursor(coordinate)
        if cursor is not None:
            given[argument] = cursor

    def _value(self, argument: GraphQLArgument, value: Any, name: str) -> str:
        """The value as a literal, as a variable, or as a literal with variables in it."""
        type_ = argument.type
        if self._random.random() < 0.4:
            return f"${self.variable(type_, value, name, has_default=argument.default_value is not Undefined)}"
        return literal(type_, self._with_variables(type_, value), self._random)

    def _with_variables(self, type_: Any, value: Any) -> Any:
        named = get_nullable_type(type_)
        if isinstance(named, GraphQLInputObjectType) and isinstance(value, dict):
            return {
                key: Variable(self.variable(named.fields[key].type, item, key))
                if self._random.random() < 0.2
                else self._with_variables(named.fields[key].type, item)
                for key, item in value.items()
            }
        if isinstance(named, GraphQLList) and isinstance(value, list):
            return [
                Variable(self.variable(named.of_type, item, "")) if self._random.random() < 0.1 else item
                for item in value
            ]
        return value

    def variable(self, type_: Any, value: Any, purpose: str, *, has_default: bool = False) -> str:
        """The name of a variable for this value: a new one, or one that serves the same purpose already."""
        known = self.used.purposes.get((str(type_), purpose))
        if (
            known
            and purpose not in ("first", "last", "id", "ids", "after", "before", "")
            and self._random.random() < 0.5
        ):
            return known
        name = (
            f"v{len(self.used.declared)}"
            if self._random.random() < 0.9
            else f"{purpose.partition(' ')[0]}_{len(self.used.declared)}"
        )
        roll, is_given = self._random.random(), True
        declared = type_
        if roll < 0.2 and value is not None and not isinstance(type_, GraphQLNonNull):
            declared = GraphQLNonNull(type_)  # stricter than it must be
        elif roll < 0.3 and has_default and isinstance(type_, GraphQLNonNull):
            declared = type_.of_type  # where the argument has a default, null may be declared
        text, may_be_null = str(declared), not isinstance(declared, GraphQLNonNull)
        is_size = purpose in ("first", "last")  # what is counted on
        if roll > 0.75:
            text += f" = {literal(declared, value, self._random)}"
            is_given = roll < 0.85
        elif may_be_null and not is_size and self._random.random() < 0.07:
            is_given = False  # as if the argument were not there
        if is_given:
            self.used.variables[name] = value
        elif roll > 0.97 and may_be_null and not is_size:
            self.used.variables[name] = None
        self.used.declared[name] = text
        self.used.types[name] = declared
        self.used.purposes[str(type_), purpose] = name
        return name
