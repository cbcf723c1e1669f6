"""What the operations need beside their session: made once at start-up, the same for every request."""

from __future__ import annotations

from dataclasses import dataclass, field

from db.pool import Database
from domain.signing import Signer
from resolvers.passwords import Passwords
from resolvers.tokens import Tokens
from settings import Settings


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    tokens: Tokens
    passwords: Passwords
    cursors: Signer = field(repr=False)
    recommendation_ids: Signer = field(repr=False)

    @classmethod
    def make(cls, settings: Settings, database: Database, secret: str) -> Services:
        key = secret.encode()
        return cls(
            settings=settings,
            database=database,
            tokens=Tokens(settings, secret),
            passwords=Passwords(),
            cursors=Signer(key, "cursor"),
            recommendation_ids=Signer(key, "recommendation"),
        )
