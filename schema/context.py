"""`info.context` of resolvers: the caller, and the session of the request or of the root mutation field."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import strawberry
import structlog

from db.claims import ANONYMOUS, SUBJECT, Claims
from db.session import Session
from db.usage import Meter
from domain.callers import Caller
from services.rate_limits import FREE_SECONDS
from services.services import Services
from services.subscriptions import Change

log = structlog.get_logger("aclue.schema")


@dataclass
class Context:
    """One per request, or per event of a subscription, which has a `change`. A query has one read-only session; each
    root field of a mutation has its own. `payer`: who is charged, if not `claims`; `as_of`: what was committed before
    then (`time.monotonic()`) was visible to all sessions that have ended."""

    services: Services
    claims: Claims = ANONYMOUS
    caller: Caller = field(default_factory=Caller)
    change: Change | None = None
    paid: int = 0  # the price that was charged before it ran
    has_turn: bool = False  # of its network and person, before it ran
    meter: Meter = field(default_factory=Meter)  # of all its sessions, also those that resolvers open themselves
    payer: Claims | None = None
    as_of: float = float("inf")
    _session: Session | None = None
    _has_written: bool = False
    _finished: bool = False

    def __post_init__(self) -> None:
        SUBJECT.set(self.claims.subject_text)

    @property
    def session(self) -> Session:
        """The open session; opens a read-only one if there is none."""
        if self._finished:  # a sibling of a failed field is still running
            raise RuntimeError("the request has finished")
        if self._session is None:
            may_lag = self.change is None and not self._has_written  # an event follows a commit at once
            self._session = self.services.database.session(self.claims, read_only=True, may_lag=may_lag)
        return self._session

    @property
    def is_untouched(self) -> bool:
        """Whether the request has not used the database."""
        return self._session is None

    def as_anybody(self) -> Context:
        """The context for reading what is the same for every caller, as a caller without a token."""
        if self.claims is ANONYMOUS:
            return self
        payer = self.payer or self.claims
        context = replace(self, claims=ANONYMOUS, payer=payer)
        SUBJECT.set(payer.subject_text)  # it is still the person's request
        return context

    def begin_write(self) -> Session:
        """Opens the session of a root mutation field."""
        self._has_written = True
        self._session = self.services.database.session(self.claims, read_only=False)
        return self._session

    async def end(self, *, failed: bool = False) -> None:
        """Commits or, after a failure, rolls back."""
        session, self._session = self._session, None
        if session is not None:
            if failed:
                session.mark_rollback()
            self.as_of = min(self.as_of, session.route.as_of)
            await session.close()

    async def commit(self) -> None:
        """Commits; if a statement failed, rolls back and raises its error, which a nullable part of the payload may
        have hidden."""
        failure = self.session.failure
        await self.end(failed=failure is not None)
        if failure is not None:
            raise failure
        if self.claims.may_administer:
            self.services.public_answers.drop_own()

    def cancel(self) -> None:
        """The client has disconnected: stops the session, so that its running statement is cancelled and those of
        pending DataLoader batches fail. A session that resolvers opened themselves is not affected."""
        if self._session is not None:
            self._session.cancel()

    async def finish(self) -> None:
        """Ends the request: no session can be opened any more. A session that is still open is read-only or has
        failed."""
        self._finished = True
        try:
            await self.end(failed=True)
        except Exception:
            log.warning("a finished session did not close cleanly", exc_info=True)
        finally:  # also if it is cancelled again
            if self.meter.seconds > FREE_SECONDS or self.meter.cut_off:
                payer = self.payer or self.claims
                await self.services.rate_limits.settle(payer, self.caller.address, self.paid, self.meter)

    async def switch_claims(self, claims: Claims) -> None:
        """Continues as the person who has just signed in, for the rest of this root field."""
        await self.end()
        self._session = self.services.database.session(claims, read_only=False)


if TYPE_CHECKING:

    class Info(Protocol):
        """What resolvers may use of their info: a plan, which calls them too, has nothing else."""

        @property
        def context(self) -> Context:
            """The context of the request."""
else:
    Info = strawberry.Info  # by this annotation Strawberry recognises the parameter
