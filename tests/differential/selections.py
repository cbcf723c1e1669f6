"""Generates a random operation: its selections and fragments."""

from __future__ import annotations

from random import Random
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)

from domain.pages import DEFAULT_SIZE
from schema.bounds import declared
from tests.differential.arguments import Arguments
from tests.differential.scopes import Chosen, Fragment, Scope
from tests.differential.values import Values
from tests.differential.world import Caller, World

MAX_OBJECTS = 1_200  # below the service's limit, with room for fragments that are spread twice
MAX_AT_ONCE = 600


class Writer:
    """Writes one operation. `prefix` keeps its fragments apart from those of other operations of the document."""

    def __init__(self, schema: GraphQLSchema, world: World, caller: Caller, random: Random, prefix: str) -> None:
        self.values = Values(random, world, caller)
        self._arguments = Arguments(self.values, random)
        self._schema = schema
        self._random = random
        self._prefix = prefix
        self._roots: list[str] = []
        self._root_scope = Scope()
        self._objects = 0.0

    @property
    def variables(self) -> dict[str, Any]:
        """Values of those variables that are given one."""
        return self._arguments.used.variables

    @property
    def types(self) -> dict[str, Any]:
        """Types of all variables."""
        return self._arguments.used.types

    def text(self, kind: str, name: str) -> str:
        """The operation and its fragments."""
        declared = ", ".join(f"${variable}: {type_}" for variable, type_ in self._arguments.used.declared.items())
        head = f"{kind} {name}{f'({declared})' if declared else ''}" if name or declared or kind != "query" else ""
        fragments = [f"fragment {f.name} on {f.condition} {f.text}" for f in self._arguments.used.fragments]
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
        if depth > 1 and self._objects < MAX_OBJECTS:
            below = [
                name
                for name, f in parent.fields.items()
                if name not in leaves and times * self._times(f, page, 1) <= MAX_AT_ONCE
            ]
        if below and (not leaves or self._random.random() < 0.5):
            return self._random.choice(below)
        return self._random.choice(leaves) if leaves else "__typename"

    def _field(self, parent: GraphQLObjectType, name: str, scope: Scope, depth: int, times: int, page: int) -> str:
        if name == "__typename":
            return name
        field_ = parent.fields[name]
        arguments, size = self._arguments.of(parent, name, field_, times)
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
        inner = times * self._times(chosen.field, page, chosen.page)
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
            more = times * self._times(own, page, chosen.page)
            if depth <= 1 or isinstance(named, GraphQLInterfaceType) or self._objects + more > MAX_OBJECTS:
                return None
        return self._written(parent, key, chosen, depth, times, page)

    def _of_interface(self, parent: GraphQLInterfaceType, scope: Scope, depth: int, times: int) -> list[str]:
        """The id, and what only some of the types have: those that the ids in the arguments are of, mostly."""
        parts = [self._random.choice(["id", "__typename", "id __typename"]) + self._directives()]
        possible = {type_.name: type_ for type_ in self._schema.get_possible_types(parent)}
        hints = [name for name in self._arguments.hints if name in possible] or ["Product"]
        wanted = list(dict.fromkeys([*hints, self._random.choice(list(possible))]))
        for name in wanted[:4]:
            if depth > 0 and self._random.random() < 0.9:
                parts.append(self._conditioned(possible[name], scope, depth, times))
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
        for known in self._arguments.used.fragments:
            fits = known.condition == parent.name and page <= known.page and scope.takes(known.scope)
            if fits and self._objects + times * known.objects < MAX_OBJECTS and self._random.random() < 0.6:
                scope.add(known.scope)
                self._objects += times * known.objects
                return f"...{known.name}{self._directives()}"
        before, own, so_far = self._objects, Scope(), self._arguments.used.copy()
        text = self._set(parent, own, depth, times, page)
        if not scope.takes(own):
            self._arguments.used = so_far  # nothing that only this text used
            return f"... on {parent.name} {{ __typename }}"
        scope.add(own)
        name = f"{self._prefix}_{len(self._arguments.used.fragments)}"
        fragment = Fragment(name, parent.name, text, own, page, (self._objects - before) / times)
        self._arguments.used.fragments.append(fragment)
        return f"...{name}{self._directives()}"

    def _directives(self) -> str:
        if self._random.random() > 0.08:
            return ""
        written = []
        for name in self._random.choice([("include",), ("skip",), ("include", "skip")]):
            stays = self._random.random() < 0.75
            value = stays if name == "include" else not stays
            condition = (
                f"${self._arguments.variable(_boolean(self._schema), value, f'{name} {value}')}"
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

    def _times(self, field_: GraphQLField, page: int, size: int) -> int:
        """How many objects of this field each parent has, at most."""
        if not self._is_list(field_):
            return 1
        if "first" in field_.args or "ids" in field_.args:
            return size
        return declared(field_) or page


def _boolean(schema: GraphQLSchema) -> Any:
    boolean: Any = schema.get_type("Boolean")
    return GraphQLNonNull(boolean)
