"""Measuring documents: as deep as they are when written out, without writing them out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import DocumentNode, FieldNode, FragmentDefinitionNode, OperationDefinitionNode, parse
from hypothesis import given
from hypothesis import strategies as st

from engine.limits import measure_depth

LIMIT = 20


class Counting(tuple[Any, ...]):
    """Selections that count how often they are walked through."""

    walks = 0

    def __iter__(self) -> Iterator[Any]:
        type(self).walks += 1
        return super().__iter__()


def walks_of(tree: DocumentNode) -> int:
    """How many selection sets are walked through to measure this document."""

    class Counted(Counting):
        walks = 0

    pending = [definition.selection_set for definition in tree.definitions]  # type: ignore[attr-defined]
    while pending:
        selection_set = pending.pop()
        pending += [s.selection_set for s in selection_set.selections if getattr(s, "selection_set", None)]
        object.__setattr__(selection_set, "selections", Counted(selection_set.selections))
    Counted.walks = 0
    measure_depth(tree, LIMIT)
    return Counted.walks


def written_out(tree: DocumentNode) -> int:
    """The depth with every fragment put in its place; only for documents without cycles."""
    fragments = {d.name.value: d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)}

    def depth(selections: Any) -> int:
        deepest = 0
        for selection in selections.selections if selections else ():
            if isinstance(selection, FieldNode):
                deepest = max(deepest, 1 + depth(selection.selection_set))
            else:
                inner = getattr(selection, "selection_set", None) or fragments[selection.name.value].selection_set
                deepest = max(deepest, depth(inner))
        return deepest

    return max(depth(d.selection_set) for d in tree.definitions if isinstance(d, OperationDefinitionNode))


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("{ a }", 1),
        ("{ a { b } c }", 2),
        ("{ a { ... { b { c } } } }", 3),
        ("{ a { ... on T { b } } }", 2),
        ("{ a { ...F } } fragment F on T { b { c } }", 3),
        ("{ ...F a { ...F } } fragment F on T { b }", 2),
        ("query A { a } query B { a { b { c } } }", 3),
        ("{ a } fragment Unused on T { b { c { d } } }", 1),
        ("{ a { ...Unknown } }", 1),
        ("mutation { a { b } }", 2),
    ],
)
def test_a_document_is_as_deep_as_its_deepest_field(text: str, depth: int) -> None:
    assert measure_depth(parse(text), LIMIT) == depth


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Documents with fragments that spread later fragments only."""
    count = draw(st.integers(0, 5))

    def body(first: int) -> str:
        spreads = [f"...F{n}" for n in range(first, count)]
        parts = draw(
            st.lists(st.sampled_from(["a", "b { c }", "... { d }", "e { ... on T { f } }", *spreads]), min_size=1)
        )
        wrapped = [f"x {{ {part} }}" if draw(st.booleans()) else part for part in parts]
        return "{ " + " ".join(wrapped) + " }"

    return " ".join([body(0), *(f"fragment F{n} on T {body(n + 1)}" for n in range(count))])


@given(documents())
def test_the_depth_is_that_of_the_document_written_out(text: str) -> None:
    tree = parse(text)
    assert measure_depth(tree, 1000) == written_out(tree)


@pytest.mark.parametrize(
    "text",
    [
        "{ ...A } fragment A on T { ...A }",
        "{ ...A } fragment A on T { a { ...A } }",
        "{ ...A } fragment A on T { a { ...B } } fragment B on T { b { ...C } } fragment C on T { ...A }",
        "{ ...B ...A } fragment A on T { ...B } fragment B on T { ...A }",
        "{ a { b { ...A } } } fragment A on T { c ...B } fragment B on T { ...B }",
    ],
)
def test_a_fragment_within_itself_is_too_deep(text: str) -> None:
    assert measure_depth(parse(text), LIMIT) > LIMIT


def doubling(fragments: int) -> DocumentNode:
    """Each fragment spreads the next one twice: 2 ** fragments fields when written out."""
    chain = " ".join(f"fragment F{n} on T {{ a {{ ...F{n + 1} }} b {{ ...F{n + 1} }} }}" for n in range(fragments))
    return parse(f"{{ ...F0 }} {chain} fragment F{fragments} on T {{ end }}")


def test_exponential_spreads_are_measured_in_linear_steps() -> None:
    assert walks_of(doubling(10)) == 1 + 3 * 10 + 1
    assert walks_of(doubling(100)) == 1 + 3 * 100 + 1


def test_exponential_spreads_have_their_true_depth() -> None:
    assert measure_depth(doubling(100), 1000) == 101
