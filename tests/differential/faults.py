"""Faults planted into compiled plans: each is one that a renderer or a compiler could have. The service without plans
uses nothing of what they change, and still answers as it should."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from db.pages import PageRequest
from plan import leaves
from plan.leaves import Memo
from plan.pages import PagePlan
from plan.renderers import RowRenderer
from plan.selections import Selections

_AMOUNT = re.compile(r'"(\d+\.\d)\d"')


@dataclass(frozen=True)
class Fault:
    """`make` gives what stands in place of the owner's attribute, whose right value it is given; `within` is how many
    documents may pass before the fault is found."""

    owner: Any
    attribute: str
    make: Callable[[Any], Any]
    within: int = 250

    def planted(self) -> Any:
        """Planted for the time of the block: for plans that are compiled and run in it."""
        return mock.patch.object(self.owner, self.attribute, self.make(getattr(self.owner, self.attribute)))


def _of_request(change: Callable[[PageRequest], PageRequest]) -> Callable[[Any], Any]:
    """`PagePlan.render_page`, told that the page is of another request."""

    def make(write: Any) -> Any:
        def changed(plan: PagePlan, found: Any, total: Any, request: PageRequest, run: Any, extras: Any) -> str:
            text: str = write(plan, found, total, change(request), run, extras)
            return text

        return changed

    return make


def _of_page(change: Callable[[list[Any], PageRequest], list[Any]]) -> Callable[[Any], Any]:
    """`PagePlan.render_page`, given other rows."""

    def make(write: Any) -> Any:
        def changed(plan: PagePlan, found: Any, total: Any, request: PageRequest, run: Any, extras: Any) -> str:
            order = change(list(range(len(found))), request)
            beside = None if extras is None else [extras[at] for at in order]
            text: str = write(plan, [found[at] for at in order], total, request, run, beside)
            return text

        return changed

    return make


def _without_microseconds(moment: Any) -> Any:
    return lambda value: moment(value).partition(".")[0].rstrip('Z"') + 'Z"'


def _short_money(missing: Any) -> Any:
    def changed(memo: Memo, argument: Any) -> str:
        text: str = missing(memo, argument)
        return _AMOUNT.sub(r'"\1"', text)

    return changed


FAULTS = {
    "the last row of a page is lost": Fault(PagePlan, "render_page", _of_page(lambda found, _: found[:-1])),
    "the first two rows change places": Fault(
        PagePlan, "render_page", _of_page(lambda found, _: found[1::-1] + found[2:])
    ),
    "the next page is not seen": Fault(PagePlan, "render_page", _of_page(lambda found, request: found[: request.size])),
    "what came before a page is not seen": Fault(
        PagePlan, "render_page", _of_request(lambda request: replace(request, cursor=None))
    ),
    "a null becomes an empty text": Fault(leaves, "NULL", lambda _: '""'),
    "a backslash is not escaped": Fault(leaves, "string", lambda write: lambda text: write(text).replace("\\\\", "\\")),
    "a letter beyond ASCII is lost": Fault(
        leaves, "string", lambda write: lambda text: write(text.encode("ascii", "ignore").decode())
    ),
    "a moment loses its microseconds": Fault(leaves, "timestamp", _without_microseconds),
    "money loses its last digit": Fault(Memo, "__missing__", _short_money),
    "a row that is not there is written": Fault(
        RowRenderer, "_to_one", lambda to_one: lambda *given: _unguarded(to_one(*given)), within=2000
    ),
    "@skip and @include are not looked at": Fault(Selections, "_is_included", lambda _: lambda *given: True),
}


def _unguarded(expression: str) -> str:
    """A relation's expression without its test for null."""
    return expression.partition(" if ")[0] + ")"
