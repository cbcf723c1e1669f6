"""Generates random documents from the schema, which cover everything that GraphQL allows.

A document is determined by its seed, the schema and the world. Nearly all are valid by construction: a field that is
repeated under the same name in the same place has the same arguments (see Scope).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import GraphQLField, GraphQLSchema

from tests.differential.selections import Writer
from tests.differential.world import Caller, World


@dataclass(frozen=True)
class Document:
    """A request. `is_valid`: meant to pass validation; its variables may still not fit."""

    text: str
    caller: str
    variables: dict[str, Any] = field(default_factory=dict)
    operation_name: str | None = None
    is_valid: bool = True


def queries(schema: GraphQLSchema, world: World, seed: int, count: int) -> Iterator[Document]:
    """So many documents with queries. One with a certain seed is the same in every run of that seed."""
    for number in range(count):
        yield query(schema, world, Random(f"{seed}/{number}"))


def query(schema: GraphQLSchema, world: World, random: Random) -> Document:
    """One document: one operation mostly, several now and then."""
    caller = random.choices(world.callers, [caller.weight for caller in world.callers])[0]
    if random.random() < 0.01:
        caller = next(caller for caller in world.callers if caller.name == "expired")
    if random.random() < 0.015:
        return Document(random.choice(_INTROSPECTION), caller.name)
    several = random.random() < 0.12
    count = random.randint(2, 3) if several else 1
    operations = [_operation(schema, world, caller, random, f"Q{n}") for n in range(count)]
    chosen = random.choice(operations)
    is_named = several or random.random() < 0.3
    texts = [operation.text("query", name if is_named else "") for name, operation in _named(operations)]
    name = f"Q{operations.index(chosen)}" if several or (is_named and random.random() < 0.5) else None
    if random.random() < 0.005:
        name = random.choice(["Nothing", None]) if several else "Nothing"
    variables = chosen.variables
    if variables and random.random() < 0.03:
        variables = _spoilt(chosen, random)
    text = "\n".join(texts)
    if random.random() < 0.01:
        return Document(random.choice(_INVALID)(text), caller.name, variables, name, is_valid=False)
    return Document(text, caller.name, variables, name)


def _named(operations: list[Writer]) -> list[tuple[str, Writer]]:
    return [(f"Q{number}", operation) for number, operation in enumerate(operations)]


def _operation(schema: GraphQLSchema, world: World, caller: Caller, random: Random, prefix: str) -> Writer:
    writer = Writer(schema, world, caller, random, prefix)
    query = schema.query_type
    assert query is not None
    weights = _root_weights(query.fields, caller)
    depth = random.randint(3, 6)
    for name in random.choices(list(weights), list(weights.values()), k=random.choice([1, 1, 1, 1, 2, 3])):
        writer.add_root(query, name, depth)
    if random.random() < 0.1:
        writer.add_typename()
    return writer


def _root_weights(fields: dict[str, GraphQLField], caller: Caller) -> dict[str, float]:
    """How often each root field is asked for: seldom what this caller is refused or has nothing of."""
    weights = dict.fromkeys(fields, 1.0)
    weights |= {
        "products": 4,
        "product": 1.5,
        "productFacets": 0.6,
        "suggest": 0.6,
        "recommendations": 2,
        "nodes": 2,
        "node": 2,
        "quiz": 0.4,
        "nextQuestion": 0.2,
    }
    weights["me"] = 6 if caller.name not in ("nobody", "service") else 0.3
    weights["experiment"] = 0.05  # none runs
    for name in (
        "eventCounts",
        "impressionCounts",
        "recommendationFeedback",
        "funnel",
        "revenue",
        "recommendationPerformance",
    ):
        weights[name] = 1 if caller.may_analyse else 0.03
    for name in (
        "conversions",
        "conversionFlags",
        "ledger",
        "payments",
        "exceptions",
        "ledgerBalances",
        "reconciliation",
    ):
        weights[name] = 1 if caller.may_administer else 0.01
    if caller.may_administer:
        weights["conversions"] = 4
    for name in ("affiliateNetwork", "affiliateNetworks", "auditLog", "importRuns", "systemLogs"):
        weights[name] = 2 if caller.may_administer else 0.03
    return weights


def _spoilt(operation: Writer, random: Random) -> dict[str, Any]:
    """The variables with one of them missing, null or of another type."""
    variables = dict(operation.variables)
    name = random.choice(list(variables))
    way = random.random()
    if way < 0.3:
        del variables[name]
    elif way < 0.5:
        variables[name] = None
    else:
        variables[name] = operation.values.mistyped(operation.types[name])
    return variables


_INTROSPECTION = (
    "{ __schema { queryType { name } types { name kind } } }",
    '{ __type(name: "Product") { name fields { name type { name kind ofType { name } } } } me { id } }',
    "{ __typename }",
)
_INVALID: tuple[Callable[[str], str], ...] = (
    lambda text: text.replace("{", "{ nonsense", 1),
    lambda text: text[:-1],
    lambda text: text + " fragment Unused on Product { id }",
    lambda text: text.replace("{", "{ ...Missing", 1),
    lambda text: text.replace("{", "{ products(orderBy: WORST) { nodes { id } }", 1),
    lambda text: text.replace("{", "{ me { id: displayName id } }", 1),
    lambda text: text.replace("{", "{ products }", 1),
)
