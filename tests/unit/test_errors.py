"""The error tree is what its module draws, and every code reaches callers as the schema spells it."""

from __future__ import annotations

import inspect
import re

import pytest

from domain import errors
from domain.errors import AclueError, DocumentRefused, RequestError, TryAgain, UserError
from schema.errors import UserErrorCode

LINE = re.compile(r"^(?P<lead>[ │├└─]*)(?P<name>[A-Z][A-Za-z]+)(?:\s+(?P<code>[A-Z_]{5,}))?")
CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, AclueError)]


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """{class: (parent, code)} as the docstring of the module draws it."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    path: list[tuple[int, str]] = []
    block = (errors.__doc__ or "").split("\n\n")[1]
    for line in block.splitlines():
        found = LINE.match(line)
        assert found, line
        depth = len(found["lead"])
        while path and path[-1][0] >= depth:
            path.pop()
        tree[found["name"]] = (path[-1][1] if path else None, found["code"])
        path.append((depth, found["name"]))
    return tree


def test_every_class_is_drawn() -> None:
    assert set(drawn()) == {c.__name__ for c in CLASSES}


@pytest.mark.parametrize("error", CLASSES)
def test_a_class_stands_below_its_parent(error: type[AclueError]) -> None:
    parent, _ = drawn()[error.__name__]
    assert error.__bases__[0].__name__ == (parent or "Exception")


@pytest.mark.parametrize("error", CLASSES)
def test_a_class_has_the_code_drawn_beside_it(error: type[AclueError]) -> None:
    _, code = drawn()[error.__name__]
    assert code is None or error.code == code


@pytest.mark.parametrize("error", [c for c in CLASSES if issubclass(c, UserError) and c is not UserError])
def test_an_expected_outcome_has_a_code_of_the_schema(error: type[UserError]) -> None:
    assert error.code in UserErrorCode.__members__


@pytest.mark.parametrize(
    "error", [c for c in CLASSES if c not in (AclueError, UserError, RequestError, DocumentRefused, TryAgain)]
)
def test_no_expected_error_passes_for_a_fault_of_ours(error: type[AclueError]) -> None:
    assert error.code != AclueError.code


def test_what_may_be_repeated_says_when() -> None:
    assert errors.Timeout("Too long.").retry_after == 1
    assert errors.RateLimited("Too many.", retry_after=900).retry_after == 900


def test_an_error_knows_the_input_at_fault() -> None:
    assert errors.Invalid("No.", ("answers", "0")).field == ("answers", "0")
    assert errors.ProductNotFound().field == ("productId",)
