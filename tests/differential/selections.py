"""One operation put together by chance: its selections, arguments, variables and fragments."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    GraphQLSchema,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
)

from domain import ids
from resolvers.pages import DEFAULT_SIZE, MAX_SIZE
from schema.cost import ROOT_LIST, UNPAGED_LIST
from tests.differential.values import Values, Variable, literal
from tests.differential.world import ORDERS, Caller, World

MOST_OBJECTS = 1_200  # below the service's limit, with room for fragments that are spread twice
MOST_AT_ONCE = 600


@dataclass
class Scope:
    """What stands in one place of the answer so far, by response key. The same key may come again, in a fragment too:
    as the same call, with the selections below it in the same scope."""

    chosen: dict[str, Chosen] = field(default_factory=dict)

    def takes(self, other: Scope) -> bool:
        """Whether the other's selections may be added here."""
        return all(
            key not in self.chosen or (self.chosen[key].is_like(new) and self.chosen[key].below.takes(new.below))
            for key, new in other.chosen.items()
        )

    def add(self, other: Scope) -> None:
        for key, new in other.chosen.items():
            known = self.chosen.setdefault(key, Chosen(new.call, new.field, new.page))
            known.below.add(new.below)


@dataclass
class Chosen:
    """A field with its arguments, as it was written. `page` is the size of the connection that it may be."""

    call: str
    field: GraphQLField
    page: int
    below: Scope = field(default_factory=Scope)

    def is_like(self, other: Chosen) -> bool:
        return self.call == other.call and str(self.field.type) == str(other.field.type)


@dataclass(frozen=True)
class _Fragment:
    name: str
    condition: str
    text: str
    scope: Scope
    page: int
    objects: float  # for each object that it is spread on


@dataclass
class _Used:
    """What the text so far has declared; `purposes` finds a variable that may serve again."""

    declared: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    purposes: dict[tuple[str, str], str] = field(default_factory=dict)
    fragments: list[_Fragment] = field(default_factory=list)

    def copy(self) -> _Used:
        return _Used(
            dict(self.declared), dict(self.variables), dict(self.types), dict(self.purposes), list(self.fragments)
        )


class Writer:
    """Writes one operation. `prefix` keeps its fragments apart from those of other operations of the document."""

    def __init__(self, schema: GraphQLSchema, world: World, caller: Caller, random: Random, prefix: str) -> None:
        self.values = Values(random, world, caller)
        self._used = _Used()
        self._schema = schema
        self._random = random
        self._prefix = prefix
        self._roots: list[str] = []
        self._root_scope = Scope()
        self._objects = 0.0
        self._hints: list[str] = []

    @property
    def variables(self) -> dict[str, Any]:
        """Values of those variables that are given one."""
        return self._used.variables

    @property
    def types(self) -> dict[str, Any]:
        """Types of all variables."""
        return self._used.types

    def text(self, kind: str, name: str) -> str:
        """The operation and its fragments."""
        declared = ", ".join(f"${variable}: {type_}" for variable, type_ in self._used.declared.items())
        head = f"{kind} {name}{f'({declared})' if declared else ''}" if name or declared or kind != "query" else ""
        fragments = [f"fragment {f.name} on {f.condition} {f.text}" for f in self._used.fragments]
        return "\n".join([f"{head} {{ {self._joined(self._roots)} }}".strip(), *fragments])

    def add_root(self, parent: GraphQLObjectType, name: str, depth: int) -> None:
        """One more root field, with selections as deep as this."""
        self._roots.append(self._field(parent, name, self._root_scope, depth, 1, DEFAULT_SIZE))

    def add_typename(self) -> None:
        self._roots.insert(self._random.randint(0, len(self._roots)), "__typename")

    # --- selections

    def _set(self, parent: Any, scope: Scope, depth: int, times: int, page: int) -> str:
        if isinstance(parent, GraphQLInterfaceType):
            parts = self._of_interface(parent, scope, depth, times)
        else:
            count = self._random.choice([1, 1, 2, 2, 3, 4])
            parts = [self._selection(parent, scope, depth, times, page) for _ in range(count)]
        return f"{{ {self._joined(parts)} }}"

    def _selection(self, parent: GraphQLObjectType, scope: Scope, depth: int, times: int, page: int) -> str:
        roll = self._random.random()
        if depth > 0 and roll < 0.06:
            return self._inline(parent, scope, depth, times, page)
        if depth > 0 and roll < 0.14:
            return self._spread(parent, scope, depth, times, page)
        if roll < 0.2:
            return self._random.choice(["__typename", "__typename", "kind_: __typename"]) + self._directives()
        if roll < 0.28 and scope.chosen:
            again = self._again(parent, scope, depth, times, page)
            if again:
                return again
        return self._field(parent, self._pick(parent, depth, times, page), scope, depth, times, page)

    def _pick(self, parent: GraphQLObjectType, depth: int, times: int, page: int) -> str:
        leaves = [name for name, f in parent.fields.items() if is_leaf_type(get_named_type(f.type))]
        below = []
        if depth > 1 and self._objects < MOST_OBJECTS:
            below = [
                name
                for name, f in parent.fields.items()
                if name not in leaves and times * self._times(parent, f, page, 1) <= MOST_AT_ONCE
            ]
        if below and (not leaves or self._random.random() < 0.5):
            return self._random.choice(below)
        return self._random.choice(leaves) if leaves else "__typename"

    def _field(self, parent: GraphQLObjectType, name: str, scope: Scope, depth: int, times: int, page: int) -> str:
        if name == "__typename":
            return name
        field_ = parent.fields[name]
        arguments, size = self._arguments(parent, name, field_, times)
        chosen = Chosen(name + arguments, field_, size)
        key = name if self._random.random() < 0.8 else f"{name}_{self._random.randint(1, 3)}"
        while key in scope.chosen and not scope.chosen[key].is_like(chosen):
            key = f"{name}_{self._random.randint(1, 99)}"
        return self._written(parent, key, scope.chosen.setdefault(key, chosen), depth, times, page)

    def _written(self, parent: Any, key: str, chosen: Chosen, depth: int, times: int, page: int) -> str:
        named = get_named_type(chosen.field.type)
        name = chosen.call.partition("(")[0]
        text = (chosen.call if key == name else f"{key}: {chosen.call}") + self._directives()
        if is_leaf_type(named):
            return text
        inner = times * self._times(parent, chosen.field, page, chosen.page)
        self._objects += inner
        return f"{text} {self._set(named, chosen.below, depth - 1, inner, chosen.page)}"

    def _again(self, parent: GraphQLObjectType, scope: Scope, depth: int, times: int, page: int) -> str | None:
        """A field that stands there already, with other selections below it: they are merged. None where another type
        chose it, or where it would be too much."""
        key = self._random.choice(list(scope.chosen))
        chosen = scope.chosen[key]
        own = parent.fields.get(chosen.call.partition("(")[0])
        if own is None or str(own.type) != str(chosen.field.type):
            return None
        named = get_named_type(own.type)
        if not is_leaf_type(named):
            more = times * self._times(parent, own, page, chosen.page)
            if depth <= 1 or isinstance(named, GraphQLInterfaceType) or self._objects + more > MOST_OBJECTS:
                return None
        return self._written(parent, key, chosen, depth, times, page)

    def _of_interface(self, parent: GraphQLInterfaceType, scope: Scope, depth: int, times: int) -> list[str]:
        """The id, and what only some of the types have: those that the ids in the arguments are of, mostly."""
        parts = [self._random.choice(["id", "__typename", "id __typename"]) + self._directives()]
        possible = {type_.name: type_ for type_ in self._schema.get_possible_types(parent)}
        hints = [name for name in self._hints if name in possible]
        outer, self._hints = self._hints, hints or ["Product"]
        wanted = list(dict.fromkeys([*self._hints, self._random.choice(list(possible))]))
        for name in wanted[:4]:
            if depth > 0 and self._random.random() < 0.9:
                parts.append(self._conditioned(possible[name], scope, depth, times))
        self._hints = outer
        return parts

    def _conditioned(self, type_: GraphQLObjectType, scope: Scope, depth: int, times: int) -> str:
        if self._random.random() < 0.3:
            return self._spread(type_, scope, depth, times, DEFAULT_SIZE)
        return f"... on {type_.name}{self._directives()} {self._set(type_, scope, depth, times, DEFAULT_SIZE)}"

    def _inline(self, parent: GraphQLObjectType, scope: Scope, depth: int, times: int, page: int) -> str:
        roll = self._random.random()
        if roll < 0.25 and parent.interfaces:
            return f"... on Node{self._directives()} {{ id __typename }}"
        condition = f" on {parent.name}" if roll < 0.7 else ""
        return f"...{condition}{self._directives()} {self._set(parent, scope, depth, times, page)}"

    def _spread(self, parent: GraphQLObjectType, scope: Scope, depth: int, times: int, page: int) -> str:
        """A named fragment: one that was spread elsewhere where it fits, or a new one."""
        for known in self._used.fragments:
            fits = known.condition == parent.name and page <= known.page and scope.takes(known.scope)
            if fits and self._objects + times * known.objects < MOST_OBJECTS and self._random.random() < 0.6:
                scope.add(known.scope)
                self._objects += times * known.objects
                return f"...{known.name}{self._directives()}"
        before, own, so_far = self._objects, Scope(), self._used.copy()
        text = self._set(parent, own, depth, times, page)
        if not scope.takes(own):
            self._used = so_far  # nothing that only this text used
            return f"... on {parent.name} {{ __typename }}"
        scope.add(own)
        name = f"{self._prefix}_{len(self._used.fragments)}"
        fragment = _Fragment(name, parent.name, text, own, page, (self._objects - before) / times)
        self._used.fragments.append(fragment)
        return f"...{name}{self._directives()}"

    def _directives(self) -> str:
        if self._random.random() > 0.08:
            return ""
        written = []
        for name in self._random.choice([("include",), ("skip",), ("include", "skip")]):
            stays = self._random.random() < 0.75
            value = stays if name == "include" else not stays
            condition = (
                f"${self._variable(_boolean(self._schema), value, f'{name} {value}')}"
                if self._random.random() < 0.5
                else str(value).lower()
            )
            written.append(f" @{name}(if: {condition})")
        return "".join(written)

    def _joined(self, parts: list[str]) -> str:
        return self._random.choice([" ", " ", "\n", ", ", "\n# ü\n"]).join(parts)

    # --- sizes

    @staticmethod
    def _is_list(field_: GraphQLField) -> bool:
        return isinstance(get_nullable_type(field_.type), GraphQLList)

    def _times(self, parent: Any, field_: GraphQLField, page: int, size: int) -> int:
        """How many objects of this field each parent has, at most."""
        if not self._is_list(field_):
            return 1
        if "first" in field_.args or "ids" in field_.args:
            return size
        if parent is not None and parent.name.endswith("Connection"):
            return page
        return ROOT_LIST if parent is self._schema.query_type else UNPAGED_LIST

    # --- arguments

    def _arguments(self, parent: GraphQLObjectType, name: str, field_: GraphQLField, times: int) -> tuple[str, int]:
        """The arguments as text, and the page size that follows from them."""
        given: dict[str, Any] = {}
        for argument, definition in field_.args.items():
            if argument in ("first", "last", "after", "before"):
                continue
            share = 0.25 if len(field_.args) > 2 else 0.6
            if is_required_argument(definition) or self._random.random() < share:
                given[argument] = self.values.argument(name, definition.type, argument)
        size = self._page(f"{parent.name}.{name}", field_, given, times) if "first" in field_.args else DEFAULT_SIZE
        wanted = given.get("ids", given.get("id"))
        if wanted is not None and get_named_type(field_.type) is self._schema.get_type("Node"):
            texts = wanted if isinstance(wanted, list) else [wanted]
            self._hints = [decoded[0] if (decoded := ids.decode(text)) else "Recommendation" for text in texts]
            size = max(1, len(texts))
        parts = []
        for argument, value in given.items():
            text = self._value(field_.args[argument], value, argument)
            parts.append(f"{argument}: {text}")
        self._random.shuffle(parts)
        return (f"({', '.join(parts)})" if parts else ""), size

    def _page(self, coordinate: str, field_: GraphQLField, given: dict[str, Any], times: int) -> int:
        """Chooses first, after, last and before; a cursor needs the arguments that it was made with."""
        roll, size = self._random.random(), self.values.page()
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
        cursor = self.values.cursor(coordinate)
        if cursor is not None:
            given[argument] = cursor

    # --- values and variables

    def _value(self, argument: GraphQLArgument, value: Any, name: str) -> str:
        """The value as a literal, as a variable, or as a literal with variables in it."""
        type_ = argument.type
        if self._random.random() < 0.4:
            return f"${self._variable(type_, value, name, has_default=argument.default_value is not Undefined)}"
        return literal(type_, self._with_variables(type_, value), self._random)

    def _with_variables(self, type_: Any, value: Any) -> Any:
        named = get_nullable_type(type_)
        if isinstance(named, GraphQLInputObjectType) and isinstance(value, dict):
            return {
                key: Variable(self._variable(named.fields[key].type, item, key))
                if self._random.random() < 0.2
                else self._with_variables(named.fields[key].type, item)
                for key, item in value.items()
            }
        if isinstance(named, GraphQLList) and isinstance(value, list):
            return [
                Variable(self._variable(named.of_type, item, "")) if self._random.random() < 0.1 else item
                for item in value
            ]
        return value

    def _variable(self, type_: Any, value: Any, purpose: str, *, has_default: bool = False) -> str:
        """The name of a variable for this value: a new one, or one that serves the same purpose already."""
        known = self._used.purposes.get((str(type_), purpose))
        if (
            known
            and purpose not in ("first", "last", "id", "ids", "after", "before", "")
            and self._random.random() < 0.5
        ):
            return known
        name = (
            f"v{len(self._used.declared)}"
            if self._random.random() < 0.9
            else f"{purpose.partition(' ')[0]}_{len(self._used.declared)}"
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
            self._used.variables[name] = value
        elif roll > 0.97 and may_be_null and not is_size:
            self._used.variables[name] = None
        self._used.declared[name] = text
        self._used.types[name] = declared
        self._used.purposes[str(type_), purpose] = name
        return name


def _boolean(schema: GraphQLSchema) -> Any:
    boolean: Any = schema.get_type("Boolean")
    return GraphQLNonNull(boolean)
