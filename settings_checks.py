"""What settings must fulfil beyond their types, alone and together.

Functions raise ValueError with a message that names the variable.
"""

from __future__ import annotations

import importlib.util
import re
from email.utils import parseaddr
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from domain.currencies import EXPONENTS

if TYPE_CHECKING:
    from settings import Settings

MIN_SECRET_BYTES = 32  # of an HS256 key
LOG_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_WIDEST_PROXY_NETWORK = {4: 8, 6: 7}  # prefix lengths: 10.0.0.0/8 and fc00::/7 are private networks
_HOST = r"[^\s/?#@*:,]+"
_ORIGIN = re.compile(
    # https://host; https://*.domain with more than a top-level domain; both with a port, or :* for any. Or the origin
    # of an app in a web view, such as capacitor://localhost.
    rf"https?://({_HOST}|\*\.({_HOST}\.{_HOST}|localhost))(:(\d{{1,5}}|\*))?"
    rf"|(?!(https?|wss?|ftp|file):)[a-z][a-z0-9+.-]*://{_HOST}(:\d{{1,5}})?"
)
_HEADER = re.compile(r"[!#$%&'+.^_`|~0-9a-z-]+")


def check(settings: Settings) -> None:
    """Raises ValueError for the first setting that is wrong."""
    if settings.log_level.lower() not in LOG_LEVELS:
        raise ValueError(f"LOG_LEVEL: {settings.log_level!r} is unknown; write one of {', '.join(LOG_LEVELS)}")
    _check_secrets(settings)
    _check_urls(settings)
    _check_cors(settings)
    _check_proxies(settings)
    _check_mail(settings)
    if settings.is_production and settings.uses_embedded_server:
        raise ValueError("DATABASE_URL: production needs a Postgres of its own; the embedded one is for development")
    if settings.is_production and settings.allow_private_sources:
        raise ValueError("ALLOW_PRIVATE_SOURCES: for development only, it lets feeds come from private networks")
    if settings.metrics_port and settings.metrics_port == settings.port:
        raise ValueError("METRICS_PORT: must be another port than PORT")
    if settings.default_currency not in EXPONENTS:
        raise ValueError(
            f"DEFAULT_CURRENCY: {settings.default_currency!r} is unknown; "
            "write a code of ISO 4217 in capitals, such as GBP"
        )
    if settings.migration_database_url and not settings.database_url:
        raise ValueError("MIGRATION_DATABASE_URL: needs DATABASE_URL, the API's own log-in, beside it")
    if settings.worker_database_url and not settings.database_url:
        raise ValueError("WORKER_DATABASE_URL: needs DATABASE_URL, the API's own log-in, beside it")
    if settings.listen_database_url and not settings.database_url:
        raise ValueError("LISTEN_DATABASE_URL: needs DATABASE_URL beside it")
    if settings.read_urls and not settings.database_url:
        raise ValueError("READ_DATABASE_URLS: needs DATABASE_URL, the primary, beside it")
    if settings.read_urls and settings.workers > 1 and not settings.redis_url:
        raise ValueError(
            "READ_DATABASE_URLS: with several WORKERS it needs REDIS_URL, where they share who has just written"
        )
    if settings.trusted_documents_mode.value != "open" and not settings.trusted_documents:
        raise ValueError("TRUSTED_DOCUMENTS_MODE: needs a manifest in TRUSTED_DOCUMENTS beside it")


def _check_secrets(settings: Settings) -> None:
    if settings.is_production and len(settings.jwt_secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError("JWT_SECRET: production needs a secret of its own, 32 bytes or more")
    for name in ("JWT_SECRET", "ENCRYPTION_SECRET", "ERASURE_SECRET", "BACKUP_SECRET", "METRICS_TOKEN"):
        if 0 < len(getattr(settings, name.lower()).encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"{name}: too short, {MIN_SECRET_BYTES} bytes or more")


def _check_urls(settings: Settings) -> None:
    for name, url in (("PUBLIC_URL", settings.public_url), ("APP_URL", settings.app_url)):
        if url and not _is_web_address(url, without=' ?#"<>'):
            raise ValueError(f"{name}: write https://host, with a port and a path where there are any")
    if settings.redis_url and urlsplit(settings.redis_url).scheme not in ("redis", "rediss"):
        raise ValueError("REDIS_URL: write redis://host:port/database, or rediss:// for TLS")
    if settings.redis_url and not all(importlib.util.find_spec(name) for name in ("limits", "redis")):
        raise ValueError("REDIS_URL: needs the extra `redis`: pip install -r requirements-redis.txt")
    if settings.tracing and importlib.util.find_spec("opentelemetry") is None:
        raise ValueError("TRACING: needs the extra `tracing`: pip install -r requirements-tracing.txt")
    if settings.jwt_jwks_url and not _is_web_address(settings.jwt_jwks_url, without=' #"<>'):
        raise ValueError("JWT_JWKS_URL: write https://host/path")


def _is_web_address(url: str, without: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not set(url) & set(without)
    except ValueError:
        return False


def _check_cors(settings: Settings) -> None:
    for origin in settings.allowed_origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                "CORS_ORIGINS: write https://host, https://*.domain.example for its subdomains, both with a port or :* "
                "for any, or capacitor://localhost for an app; separated by commas"
            )
    for name in settings.allowed_headers:
        if not _HEADER.fullmatch(name):
            raise ValueError("CORS_HEADERS: write names of headers, such as x-shop-version, separated by commas")


def _check_proxies(settings: Settings) -> None:
    advice = "name the addresses or networks of your proxies, such as 10.0.0.0/8, separated by commas"
    if "*" in settings.trusted_proxies:
        raise ValueError(f"TRUSTED_PROXIES: with * every client could choose the address that limits count; {advice}")
    try:
        trusted = settings.trusted_networks
    except ValueError as error:
        raise ValueError(f"TRUSTED_PROXIES: {error}; {advice}") from None
    for network in trusted:
        if network.prefixlen < _WIDEST_PROXY_NETWORK[network.version]:
            raise ValueError(f"TRUSTED_PROXIES: {network} is too wide; {advice}")


def _check_mail(settings: Settings) -> None:
    if not settings.smtp_url:
        return
    try:
        parts = urlsplit(settings.smtp_url)
        is_usable = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError("SMTP_URL: write smtp://host:port or smtps://user:password@host:port")
    if "@" not in parseaddr(settings.mail_from)[1] or not settings.mail_from.isprintable():
        raise ValueError("MAIL_FROM: SMTP_URL needs an address beside it that mails come from")
    if settings.is_production and not (settings.app_url or settings.public_url):
        raise ValueError("APP_URL: SMTP_URL needs it in production, or PUBLIC_URL: mails link there")
