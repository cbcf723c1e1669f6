"""Expected errors in the payloads of mutations."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, ParamSpec, Protocol, TypeVar

import strawberry

from db import metrics
from domain import errors
from domain.sizes import size_of
from schema.bounds import at_most
from schema.context import Context

MAX_PATH = 5


@strawberry.enum(description="Why a mutation did not do what was asked.")
class UserErrorCode(Enum):
    INVALID = strawberry.enum_value("INVALID", description="A value is not allowed.")
    NOT_FOUND = strawberry.enum_value("NOT_FOUND", description="It does not exist, or the caller may not see it.")
    CONFLICT = strawberry.enum_value(
        "CONFLICT", description="It conflicts with existing data, such as an e-mail that is taken."
    )
    STALE = strawberry.enum_value("STALE", description="The input is out of date; fetch it again.")
    EXPIRED = strawberry.enum_value("EXPIRED", description="The input has expired.")
    LIMIT_REACHED = strawberry.enum_value(
        "LIMIT_REACHED", description="More than may be sent at once, or stored in a day."
    )
    IDEMPOTENCY_KEY_REUSED = strawberry.enum_value(
        "IDEMPOTENCY_KEY_REUSED", description="The key was used for another request."
    )
    INVALID_CREDENTIALS = strawberry.enum_value(
        "INVALID_CREDENTIALS", description="The e-mail, the password, the code or the token is wrong."
    )
    SECOND_FACTOR_REQUIRED = strawberry.enum_value(
        "SECOND_FACTOR_REQUIRED", description="Show the second factor first: verifyTotp gives tokens that may do this."
    )
    UNAVAILABLE = strawberry.enum_value(
        "UNAVAILABLE", description="Not offered by this installation, or unavailable now."
    )


@strawberry.type(description="An expected outcome of a mutation; nothing was changed.")
class UserError:
    code: UserErrorCode = strawberry.field(description="For programs.")
    message: str = strawberry.field(description="For people.")
    field: list[str] | None = strawberry.field(
        description="Path of the invalid input, below `input`.", metadata=at_most(MAX_PATH)
    )

    @classmethod
    def of(cls, error: errors.UserError) -> UserError:
        return cls(code=UserErrorCode(error.code), message=str(error), field=list(error.field[:MAX_PATH]) or None)


def user_errors() -> Any:
    """The `userErrors` field that every payload has."""
    return strawberry.field(
        description="Why nothing was changed; empty on success.", default_factory=list, metadata=at_most(1)
    )


class Payload(Protocol):
    """What mutations return."""

    def __init__(self, *, user_errors: list[UserError]) -> None: ...


P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Stores:
    """What a mutation stores, for the storage limits: its input, plus `row` bytes of rows and indexes; with `each`, so
    many for every item of that list of the input. `is_essential`: the mutation protects the caller, and may use the
    reserve beyond the limit."""

    row: int = 1000
    each: str | None = None
    is_essential: bool = False

    def amount(self, given: Any) -> int:
        """Bytes that a mutation with this input stores; the input may be None."""
        size = size_of(given)
        rows = len(getattr(given, self.each)) if self.each else 1
        kept = min(size.bytes, MAX_ESSENTIAL_BYTES) if self.is_essential else size.bytes
        return self.row * rows + kept + VALUE_BYTES * size.values


NOTHING = Stores(row=0)  # never refused: an erasure, and what ends a session
# No essential mutation stores more of its input: startSession truncates its texts to 4 times 500 characters. Counting
# the whole input would let anybody use up the reserve of a network with a few long texts.
MAX_ESSENTIAL_BYTES = 8_000
VALUE_BYTES = 4  # overhead of jsonb and rows per value


def outcome(
    payload: Callable[..., R], stores: Stores = Stores()
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Turns expected errors of a mutation into `payload(user_errors=[...])`, and rolls its transaction back. What it
    `stores` is counted before it runs, and given back if it stored nothing."""

    def decorate(resolve: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(resolve)
        async def resolve_outcome(*args: P.args, **kwargs: P.kwargs) -> R:
            context: Context = kwargs["info"].context  # type: ignore[attr-defined]
            session, taken = context.session, None
            try:
                if stores is not NOTHING:
                    taken = await context.services.storage_use.take(
                        context.claims,
                        context.caller.address,
                        stores.amount(kwargs.get("input")),
                        is_essential=stores.is_essential,
                    )
                result = await resolve(*args, **kwargs)
            except errors.UserError as error:
                metrics.USER_ERRORS.labels(error.code).inc()
                if taken is not None:
                    taken.give_back()
                context.session.mark_rollback()
                return payload(user_errors=[UserError.of(error)])
            except BaseException:  # rolled back
                if taken is not None:
                    taken.give_back()
                raise
            if taken is not None and session.stored_part < 1:
                taken.give_back(1 - session.stored_part)
            return result

        return resolve_outcome

    return decorate
