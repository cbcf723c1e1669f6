"""Settings: environment variables, parsed once into one frozen object. Other modules only pass the environment on to
processes that they start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

import settings_checks
from db import dsn
from domain.fraud import Limits

Positive = Annotated[int, Meta(ge=1)]


class SettingsError(ValueError):
    """An environment variable is invalid; the message names it."""


class Environment(Enum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class ClaimsMode(Enum):
    """How claims reach Postgres: pipelined in the round trip of the query itself, or set in an ordinary transaction."""

    PIPELINED = "pipelined"
    TRANSACTION = "transaction"


class DocumentsMode(Enum):
    """Which documents run: all, all while those outside the manifest are logged, or only those of the manifest."""

    OPEN = "open"
    PREFER = "prefer"
    ONLY = "only"


class Settings(msgspec.Struct, frozen=True, rename="upper", kw_only=True):
    """One field per environment variable, which has the same name in capitals; `.env.example` explains each."""

    environment: Environment = Environment.DEVELOPMENT
    aclue_home: str = ".aclue"
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    workers: Positive = 1
    public_url: str = ""
    app_url: str = ""
    log_level: str = "info"

    database_url: str = ""
    migration_database_url: str = ""
    worker_database_url: str = ""
    database_pool_size: Positive = 20
    database_max_overflow: Annotated[int, Meta(ge=0)] = 15
    database_pool_timeout: Annotated[float, Meta(gt=0)] = 30
    database_pool_recycle: Positive = 3600
    database_pool_pre_ping: bool = True
    database_health_check_interval: Positive = 300
    database_retries: Annotated[int, Meta(ge=0)] = 3
    database_retry_delay: Annotated[float, Meta(gt=0)] = 1
    database_slow_query_threshold: Positive = 1000
    database_statement_timeout: Positive = 10_000
    database_pool_queue: Positive = 1000
    claims_mode: ClaimsMode = ClaimsMode.PIPELINED
    prepared_statements: bool = True

    jwt_secret: str = ""
    jwt_issuer: str = "aclue"
    jwt_audience: str = "authenticated"
    jwt_jwks_url: str = ""
    jwks_lifetime: Positive = 600
    jwks_cooldown: Positive = 10
    jwks_grace: Positive = 3600
    erasure_secret: str = ""
    access_token_lifetime: Positive = 15 * 60
    refresh_token_lifetime: Positive = 30 * 24 * 3600
    refresh_grace: Annotated[int, Meta(ge=0, le=300)] = 10
    reset_token_lifetime: Positive = 3600
    verification_token_lifetime: Positive = 3 * 24 * 3600
    encryption_secret: str = ""
    backup_secret: str = ""

    smtp_url: str = ""
    mail_from: str = ""
    mail_interval: Positive = 60

    jobs: bool = True
    backup_interval: Annotated[int, Meta(ge=0)] = 0
    migration_backup_age: Positive = 24 * 3600

    attempt_window: Annotated[int, Meta(ge=1, le=24 * 3600)] = 15 * 60  # counts are kept for a day
    sign_in_attempts: Positive = 10
    sign_up_attempts: Positive = 10
    start_session_attempts: Positive = 100
    code_attempts: Positive = 5
    mail_attempts: Positive = 5

    retention_views: Annotated[int, Meta(ge=31)] = 395
    retention_analytics: Annotated[int, Meta(ge=31)] = 395
    retention_anonymous: Positive = 90
    retention_sessions: Positive = 30
    retention_redirects: Positive = 395
    retention_audit_log: Annotated[int, Meta(ge=90)] = 730
    retention_system_logs: Positive = 90
    retention_imports: Positive = 90
    retention_postbacks: Positive = 30

    max_postback_bytes: Positive = 65_536
    max_postback_bytes_per_day: Positive = 50_000_000

    fraud_early_sale_seconds: Positive = 10
    fraud_visitor_clicks: Positive = 30
    fraud_network_clicks: Positive = 300
    fraud_visitor_sales: Positive = 5
    fraud_network_sales: Positive = 20
    fraud_spike_factor: Annotated[int, Meta(ge=2)] = 10
    fraud_spike_hits: Positive = 100

    max_source_bytes: Positive = 2_000_000_000
    max_source_seconds: Positive = 1800
    allow_private_sources: bool = False
    check_links: bool = True

    default_currency: str = "GBP"
    model_refresh_interval: Positive = 300
    exploration: bool = True
    rate_limit_cost: Positive = 150_000
    rate_limit_address_cost: Positive = 1_500_000
    storage_limit_anonymous: Positive = 20_000_000
    storage_limit_account: Positive = 200_000_000
    storage_limit_network: Positive = 200_000_000
    redis_url: str = ""
    plans: bool = True
    trusted_documents: str = ""
    trusted_documents_mode: DocumentsMode = DocumentsMode.OPEN
    max_body_bytes: Positive = 1_000_000
    max_bodies_bytes: Positive = 32_000_000
    max_variables_bytes: Positive = 250_000
    max_variables_depth: Positive = 20
    max_document_bytes: Positive = 50_000
    max_document_tokens: Positive = 2_000
    max_document_depth: Positive = 20
    max_document_fields: Positive = 1_000
    max_document_aliases: Positive = 100
    max_document_operations: Positive = 20
    max_document_directives: Positive = 100
    max_node_directives: Positive = 5
    max_root_fields: Positive = 20
    max_searches: Positive = 12
    max_result_objects: Positive = 5_000
    max_cost: Positive = 15_000
    request_timeout: Annotated[float, Meta(gt=0)] = 30
    shed_latency: Annotated[float, Meta(ge=0)] = 0.15
    shutdown_timeout: Positive = 10
    shutdown_delay: Annotated[float, Meta(ge=0)] = 2
    keep_alive: Positive = 75
    max_connections: Annotated[int, Meta(ge=0)] = 0
    max_connections_per_address: Annotated[int, Meta(ge=0)] = 0
    listen_database_url: str = ""
    read_database_urls: str = ""
    read_max_lag: Annotated[float, Meta(gt=0)] = 5
    max_streams: Positive = 1_000
    max_streams_per_address: Positive = 100
    max_streams_per_person: Positive = 10
    max_stream_operations: Positive = 20
    stream_init_timeout: Annotated[float, Meta(gt=0)] = 10
    stream_idle_timeout: Annotated[float, Meta(gt=0)] = 30
    stream_send_timeout: Annotated[float, Meta(gt=0)] = 10
    stream_keepalive: Positive = 15
    export_timeout: Positive = 1800

    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    metrics_host: str = "127.0.0.1"
    metrics_token: str = ""
    tracing: bool = False

    cors_origins: str = ""
    cors_headers: str = ""
    trusted_proxies: str = ""
    introspection: bool = False
    public_max_age: Positive = 60
    public_cache_bytes: Annotated[int, Meta(ge=0)] = 32_000_000

    @property
    def fraud_limits(self) -> Limits:
        """Thresholds above which sales are flagged."""
        return Limits(**{name: getattr(self, f"fraud_{name}") for name in Limits.__dataclass_fields__})

    @property
    def is_production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @property
    def serves_graphiql(self) -> bool:
        """GraphiQL needs introspection, and runs documents that no manifest has."""
        return self.introspection and self.trusted_documents_mode is not DocumentsMode.ONLY

    @property
    def home(self) -> Path:
        """The data folder of the embedded server, secrets and logs."""
        return Path(self.aclue_home).expanduser().resolve()

    @property
    def base_url(self) -> str:
        """The public URL of this server, without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def base_path(self) -> str:
        """The path of that URL, without a trailing slash; usually empty."""
        return urlsplit(self.base_url).path

    @property
    def app_base_url(self) -> str:
        """The URL of the app, which mails link to, without a trailing slash."""
        return (self.app_url or self.base_url).rstrip("/")

    @property
    def allowed_origins(self) -> list[str]:
        """Origins that CORS allows, in lower case."""
        return _listed(self.cors_origins)

    @property
    def allowed_headers(self) -> list[str]:
        """Request headers that CORS allows in addition to the built-in ones, in lower case."""
        return _listed(self.cors_headers)

    @property
    def trusted_networks(self) -> list[IPv4Network | IPv6Network]:
        """Networks of the proxies whose X-Forwarded-For is trusted. Raises ValueError."""
        return [_network(each.strip()) for each in self.trusted_proxies.split(",") if each.strip()]

    @property
    def read_urls(self) -> list[str]:
        """The URLs of the read replicas."""
        return self.read_database_urls.split()

    @property
    def uses_embedded_server(self) -> bool:
        return not self.database_url


# Tight limits, and requests to shops, would only get in the way of development and tests.
_DEVELOPMENT_DEFAULTS = {
    "SIGN_IN_ATTEMPTS": "1000",
    "SIGN_UP_ATTEMPTS": "1000",
    "START_SESSION_ATTEMPTS": "100000",
    "RATE_LIMIT_COST": "1000000000",
    "RATE_LIMIT_ADDRESS_COST": "1000000000",
    "INTROSPECTION": "true",
    "CHECK_LINKS": "false",
    "SHUTDOWN_DELAY": "0",
    "CORS_ORIGINS": "http://localhost:*,http://127.0.0.1:*",
}


def environment_with(**variables: str) -> dict[str, str]:
    """The environment for a process of our own, with these variables changed."""
    return {**os.environ, **variables}


def source_secret(name: str) -> str | None:
    """A secret for fetching feeds, by the name of its variable, which a mapping gives. Only those that begin with
    SOURCE_: a mapping must not send another secret to a shop."""
    return os.environ.get(name) if name.startswith("SOURCE_") else None


def metrics_folder() -> Path | None:
    """The folder through which workers share their metrics; None in a single process. prometheus_client reads the
    variable when it is imported, so it is set before a worker starts."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. An empty variable counts as not set.

    Raises SettingsError naming the variable that cannot be read.
    """
    source = os.environ if environ is None else environ
    given = {name: source[name] for name in Settings.__struct_encode_fields__ if source.get(name)}
    if given.get("ENVIRONMENT", "development") == "development":
        given = {**_DEVELOPMENT_DEFAULTS, **given}
    try:
        settings = msgspec.convert({**given, **_switches(given)}, Settings, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`") or "the environment"
        raise SettingsError(f"{name}: {message[0].lower()}{message[1:]}") from None
    settings = _with_parameters(settings, given)
    if settings.claims_mode is ClaimsMode.PIPELINED and not settings.prepared_statements:
        if "CLAIMS_MODE" in given:
            raise SettingsError("CLAIMS_MODE: pipelined needs prepared statements; PREPARED_STATEMENTS says false")
        settings = msgspec.structs.replace(settings, claims_mode=ClaimsMode.TRANSACTION)
    try:
        settings_checks.check(settings)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return settings


def _switches(given: Mapping[str, str]) -> dict[str, str]:
    """The variables that are switched on or off, in words that are read as booleans."""
    words = {"on": "true", "yes": "true", "off": "false", "no": "false"}
    fields = {field.encode_name for field in msgspec.structs.fields(Settings) if field.type is bool}
    return {name: words.get(text.lower(), text.lower()) for name, text in given.items() if name in fields}


def _with_parameters(settings: Settings, given: Mapping[str, str]) -> Settings:
    """Applies parameters of DATABASE_URL where the corresponding variable is not set."""
    parsed = {}
    for name in ("DATABASE_URL", "MIGRATION_DATABASE_URL", "WORKER_DATABASE_URL", "LISTEN_DATABASE_URL"):
        try:
            parsed[name] = dsn.parse(given.get(name, ""))
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from None
    for url in given.get("READ_DATABASE_URLS", "").split():
        try:
            dsn.parse(url)
        except ValueError as error:
            raise SettingsError(f"READ_DATABASE_URLS: {error}") from None
    api = parsed["DATABASE_URL"]
    if not api.prepared_statements and "PREPARED_STATEMENTS" not in given:
        settings = msgspec.structs.replace(settings, prepared_statements=False)
    if api.connection_limit and not {"DATABASE_POOL_SIZE", "DATABASE_MAX_OVERFLOW"} & given.keys():
        limit = api.connection_limit
        settings = msgspec.structs.replace(settings, database_pool_size=limit, database_max_overflow=0)
    if api.pool_timeout and "DATABASE_POOL_TIMEOUT" not in given:
        settings = msgspec.structs.replace(settings, database_pool_timeout=api.pool_timeout)
    return settings


def _listed(text: str) -> list[str]:
    """Comma-separated items, in lower case."""
    return [each.strip().lower() for each in text.split(",") if each.strip()]


def _network(text: str) -> IPv4Network | IPv6Network:
    """Parses an address or a network. Raises ValueError."""
    network = ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)  # ::ffff:10.0.0.0/104 is 10.0.0.0/8
    return network if mapped is None or network.prefixlen < 96 else ip_network((mapped, network.prefixlen - 96))
