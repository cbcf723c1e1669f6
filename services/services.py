"""What operations need besides their session: created once at start-up, shared by all requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from db.database import Database
from db.releases import code_digest
from domain.confidence import Calibration
from domain.pseudonyms import DAY_SECONDS, Pseudonyms
from domain.refresh_tokens import RefreshTokens
from domain.sealing import Sealer
from domain.signing import Signer
from domain.tombstones import Tombstones
from services import senders
from services.admission import Admission
from services.experiments import Experiments
from services.lost_hits import LostHits
from services.metrics import Metrics
from services.passwords import Passwords
from services.public_answers import PublicAnswers
from services.rate_limits import RateLimits
from services.senders import Sender
from services.shared_answers import SharedAnswers
from services.storage_use import StorageUse
from services.switches import Switches
from services.system_logs import SystemLog
from services.tokens import Tokens
from services.turns import Turns
from settings import Settings


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    tokens: Tokens
    passwords: Passwords
    rate_limits: RateLimits
    storage_use: StorageUse
    system_log: SystemLog
    metrics: Metrics
    lost_hits: LostHits
    turns: Turns
    admission: Admission
    sender: Sender | None  # None: mails wait in the outbox
    experiments: Experiments
    public_answers: PublicAnswers
    switches: Switches
    refresh_tokens: RefreshTokens = field(repr=False)
    cursors: Signer = field(repr=False)
    recommendation_ids: Signer = field(repr=False)
    gift_links: Signer = field(repr=False)
    gift_link_visits: Signer = field(repr=False)
    exports: Signer = field(repr=False)
    factor_sealer: Sealer = field(repr=False)
    mail_sealer: Sealer = field(repr=False)
    postback_sealer: Sealer = field(repr=False)
    tombstones: Tombstones = field(repr=False)
    attempt_pseudonyms: Pseudonyms = field(repr=False)
    network_pseudonyms: Pseudonyms = field(repr=False)
    visitor_pseudonyms: Pseudonyms = field(repr=False)
    calibrations: dict[int, Calibration | None] = field(default_factory=dict, repr=False)
    """Of trained models, by version: what resolvers/recommendations.py read of them."""
    served: bytes = b""
    """What public answers depend on beside their question and the rows: the code and the settings."""

    @classmethod
    def make(cls, settings: Settings, database: Database, secret: str) -> Services:
        key = secret.encode()
        system_log = SystemLog(database)
        shared = SharedAnswers.of(settings, key)
        served = settings.default_currency.encode() + (code_digest() if shared is not None else b"")
        encryption_key = settings.encryption_secret.encode() or key
        connections = settings.database_pool_size + settings.database_max_overflow
        return cls(
            settings=settings,
            database=database,
            tokens=Tokens(settings, secret),
            passwords=Passwords(),
            rate_limits=RateLimits(settings),
            storage_use=StorageUse(settings, database, Pseudonyms(key, "storage")),
            system_log=system_log,
            metrics=Metrics(settings, database),
            lost_hits=LostHits(system_log),
            turns=Turns(connections),
            admission=Admission(connections, settings.shed_latency),
            sender=senders.from_settings(settings),
            experiments=Experiments(),
            public_answers=PublicAnswers(settings, database.changes, shared),
            switches=Switches(database),
            refresh_tokens=RefreshTokens(key),
            cursors=Signer(key, "cursor"),
            recommendation_ids=Signer(key, "recommendation"),
            gift_links=Signer(key, "gift link"),
            gift_link_visits=Signer(key, "gift link visit"),
            exports=Signer(key, "export"),
            factor_sealer=Sealer(encryption_key, "second factor"),
            mail_sealer=Sealer(encryption_key, "mail"),
            postback_sealer=Sealer(encryption_key, "postback"),
            tombstones=Tombstones(settings.erasure_secret.encode() or key),
            attempt_pseudonyms=Pseudonyms(key, "attempt"),
            network_pseudonyms=Pseudonyms(key, "network"),
            visitor_pseudonyms=Pseudonyms(key, "visitor", DAY_SECONDS),
            served=served,
        )
