"""What the operations need beside their session: made once at start-up, the same for every request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from db.pool import Database
from domain.sealing import Sealer
from domain.signing import Signer
from domain.tombstones import Tombstones
from resolvers.passwords import Passwords
from resolvers.rankings import Rankings
from resolvers.rate_limits import RateLimits
from resolvers.system_logs import SystemLog
from resolvers.tokens import Tokens
from settings import Settings

if TYPE_CHECKING:
    from resolvers.recommendations import Feed


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    tokens: Tokens
    passwords: Passwords
    rate_limits: RateLimits
    system_log: SystemLog
    rankings: Rankings[Feed]
    cursors: Signer = field(repr=False)
    recommendation_ids: Signer = field(repr=False)
    gift_links: Signer = field(repr=False)
    exports: Signer = field(repr=False)
    factor_sealer: Sealer = field(repr=False)
    mail_sealer: Sealer = field(repr=False)
    tombstones: Tombstones = field(repr=False)

    @classmethod
    def make(cls, settings: Settings, database: Database, secret: str) -> Services:
        key = secret.encode()
        encryption_key = settings.encryption_secret.encode() or key
        return cls(
            settings=settings,
            database=database,
            tokens=Tokens(settings, secret),
            passwords=Passwords(),
            rate_limits=RateLimits(settings),
            system_log=SystemLog(database),
            rankings=Rankings(settings.ranking_lifetime),
            cursors=Signer(key, "cursor"),
            recommendation_ids=Signer(key, "recommendation"),
            gift_links=Signer(key, "gift link"),
            exports=Signer(key, "export"),
            factor_sealer=Sealer(encryption_key, "second factor"),
            mail_sealer=Sealer(encryption_key, "mail"),
            tombstones=Tombstones(settings.erasure_secret.encode() or key),
        )
