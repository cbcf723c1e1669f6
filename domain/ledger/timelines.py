"""What happened to a conversion by the network's own account, in the network's own order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.ledger.reports import Reading, Report

State = Literal["pending", "approved", "declined", "void", "adjusted"]


@dataclass(frozen=True, slots=True)
class Step:
    """A state, and the commission in minor units that stands in it; of `declined` and `void`, what was pending when it
    was declined. `adjusted` is a person's word: the amount stands, in whatever state. `paid`: the network says that
    what stood until then, and what stands now, has been paid. `reports` are the state identities of those that say so.
    `is_dated`: the network said when; otherwise `at` is the time of the order."""

    at: datetime
    state: State
    amount_minor: int
    paid: bool = False
    reports: tuple[str, ...] = ()
    is_dated: bool = True


@dataclass(frozen=True, slots=True)
class Timeline:
    """The steps of a conversion, and what of its reports fits no step. `first_*` are the amounts first reported.
    `accepted` are faults of steps that a person lets happen."""

    steps: tuple[Step, ...]
    first_sale_minor: int
    first_amount_minor: int
    faults: tuple[str, ...] = ()
    accepted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Source:
    """How one network reports: `read` a file's text into reports, and `timeline` of all reports of one conversion."""

    code: str
    read: Callable[[str], Reading]
    timeline: Callable[[Sequence[Report]], Timeline]
