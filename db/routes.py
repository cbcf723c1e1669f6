"""Where a session reads: from a replica, where one will do, and from the primary if that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.failures import UNUSABLE

if TYPE_CHECKING:
    from db.claims import Claims
    from db.pool import ApiConnection, Pool
    from db.replicas import Replica, Replicas


class Route:
    """Of one session. Without replicas everything is the primary's. `pool` is the one in use. `as_of`: what was
    committed before then (`time.monotonic()`) is visible; infinity on the primary."""

    __slots__ = ("_primary", "_replica", "_replicas", "as_of", "pool")

    def __init__(self, primary: Pool, replicas: Replicas | None) -> None:
        self.pool = self._primary = primary
        self._replicas = replicas
        self._replica: Replica | None = None
        self.as_of = float("inf")

    @property
    def is_replica(self) -> bool:
        """Whether it leads to a replica."""
        return self._replica is not None

    async def acquire(self, owner: object, claims: Claims) -> ApiConnection:
        """A connection to a replica, chosen the first time, or to the primary. Raises what Pool.acquire raises."""
        if self._replicas is not None:
            replicas, self._replicas = self._replicas, None
            self._replica = await replicas.choose(claims)
        if self._replica is not None:
            self.pool, self.as_of = self._replica.pool, self._replica.current_as_of
            try:
                return await self.pool.acquire(owner)
            except UNUSABLE:
                self.leave_replica()
        return await self.pool.acquire(owner)

    def leave_replica(self) -> None:
        """Leads to the primary from now on; others use the replica when it has answered a question again."""
        if self._replica is not None:
            self._replica.failed()
            self._replica = None
            self.pool, self.as_of = self._primary, float("inf")
