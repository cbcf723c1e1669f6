"""The environment: read once, every bad variable named, .env.example complete."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import msgspec
import pytest

import settings
from settings import ClaimsMode, Environment, Settings, SettingsError, load

ROOT = Path(settings.__file__).resolve().parent
SECRET = "x" * 32
PRODUCTION = {"ENVIRONMENT": "production", "JWT_SECRET": SECRET, "DATABASE_URL": "postgresql://api@db.example/aclue"}
VARIABLES = dict(zip(Settings.__struct_encode_fields__, Settings.__struct_fields__, strict=True))
DEFAULTS = {field.encode_name: field.default for field in msgspec.structs.fields(Settings)}
NUMBERS = [name for name, default in DEFAULTS.items() if type(default) in (int, float)]
TEXTS = [name for name, default in DEFAULTS.items() if type(default) is str]


def test_a_variable_is_its_field_in_capitals() -> None:
    assert {name: field.upper() for name, field in VARIABLES.items()} == {name: name for name in VARIABLES}


def test_an_empty_environment_is_a_development_installation() -> None:
    loaded = load({})
    assert not loaded.is_production
    assert loaded.uses_embedded_server


@pytest.mark.parametrize("name", VARIABLES)
def test_an_empty_variable_counts_as_not_set(name: str) -> None:
    assert load({name: ""}) == load({})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["many", "-1", "1e400", "1,5", "0x10"])
def test_a_number_that_cannot_be_used_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load({name: text})


ZERO_IS_FINE = {
    "BACKUP_INTERVAL",
    "SHED_LATENCY",
    "DATABASE_MAX_OVERFLOW",
    "DATABASE_RETRIES",
    "MAX_CONNECTIONS",
    "MAX_CONNECTIONS_PER_ADDRESS",
    "METRICS_PORT",
    "PUBLIC_CACHE_BYTES",
    "REFRESH_GRACE",
    "SHUTDOWN_DELAY",
}


@pytest.mark.parametrize("name", sorted(set(NUMBERS) - ZERO_IS_FINE))
def test_zero_is_refused_where_it_makes_no_sense(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load({name: "0"})


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_read(name: str) -> None:
    assert getattr(load({name: "100"}), VARIABLES[name]) == 100


CHECKED = (
    "DEFAULT_CURRENCY",
    "READ_DATABASE_URLS",
    "LOG_LEVEL",
    "JWT_SECRET",
    "ENCRYPTION_SECRET",
    "ERASURE_SECRET",
    "BACKUP_SECRET",
    "METRICS_TOKEN",
    "JWT_JWKS_URL",
    "REDIS_URL",
    "SMTP_URL",
    "PUBLIC_URL",
    "APP_URL",
    "MIGRATION_DATABASE_URL",
    "WORKER_DATABASE_URL",
    "LISTEN_DATABASE_URL",
    "CORS_ORIGINS",
    "CORS_HEADERS",
    "TRUSTED_PROXIES",
)


@pytest.mark.parametrize("name", [n for n in TEXTS if n not in CHECKED])
def test_a_text_is_read_as_it_is(name: str) -> None:
    assert getattr(load({name: "77"}), VARIABLES[name]) == "77"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ENVIRONMENT", "staging"),
        ("ENVIRONMENT", "Production"),
        ("LOG_LEVEL", "verbose"),
        ("DATABASE_POOL_PRE_PING", "perhaps"),
        ("PORT", "65536"),
        ("ERASURE_SECRET", "short"),
        ("BACKUP_SECRET", "short"),
        ("JWT_SECRET", "short"),
        ("ENCRYPTION_SECRET", "short"),
        ("SMTP_URL", "mail.example"),
        ("SMTP_URL", "https://mail.example"),
        ("SMTP_URL", "smtp://:25"),
        ("SMTP_URL", "smtp://mail.example:many"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*"),
        ("CORS_ORIGINS", "https://*.example"),
        ("CORS_ORIGINS", "https://*shop.example"),
        ("CORS_ORIGINS", "https://eu.*.example"),
        ("CORS_ORIGINS", "*://shop.example"),
        ("CORS_ORIGINS", "wss://shop.example"),
        ("CORS_ORIGINS", "file://"),
        ("CORS_ORIGINS", "capacitor://"),
        ("CORS_ORIGINS", "capacitor://*"),
        ("CORS_HEADERS", "*"),
        ("CORS_HEADERS", "x-shop version"),
        ("CORS_HEADERS", "x-shop: 1"),
        ("CORS_HEADERS", "x-shop\\r\\nx"),
        ("CORS_ORIGINS", "shop.example"),
        ("CORS_ORIGINS", "https://shop.example/path"),
        ("CORS_ORIGINS", "null"),
        ("RETENTION_AUDIT_LOG", "89"),
        ("RETENTION_VIEWS", "30"),
        ("MIGRATION_DATABASE_URL", "postgresql://owner@/aclue"),
        ("LISTEN_DATABASE_URL", "postgresql://api@/aclue"),
        ("CLAIMS_MODE", "session"),
        ("DEFAULT_CURRENCY", "gbp"),
        ("DEFAULT_CURRENCY", "XXX"),
        ("PREPARED_STATEMENTS", "never"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load({name: text})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("*", "with * every client could choose"),
        ("10.0.0.1,*", "with * every client could choose"),
        ("0.0.0.0/0", "is too wide"),
        ("0.0.0.0/1,128.0.0.0/1", "is too wide"),
        ("::/0", "is too wide"),
        ("2000::/3", "is too wide"),
        ("::ffff:0:0/96", "is too wide"),
        ("10.0.0.1/8", "has host bits set"),
        ("proxy.example", "does not appear to be"),
        ("10.0.0.1:80", "does not appear to be"),
        ("[::1]", "does not appear to be"),
        ("10.0.0.1 10.0.0.2", "does not appear to be"),
    ],
)
def test_proxies_that_would_let_anybody_choose_an_address_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=r"^TRUSTED_PROXIES: .*" + re.escape(complaint)):
        load({"TRUSTED_PROXIES": text})


def test_proxies_are_addresses_and_networks() -> None:
    trusted = load({"TRUSTED_PROXIES": " 127.0.0.1, 10.0.0.0/8,fc00::/7,,::ffff:192.0.2.0/120,"}).trusted_networks
    assert [str(network) for network in trusted] == ["127.0.0.1/32", "10.0.0.0/8", "fc00::/7", "192.0.2.0/24"]


@pytest.mark.parametrize("sender", ["", "Aclue", "Aclue <a@x.example>\r\nBcc: <b@x.example>"])
def test_mails_by_smtp_need_somebody_whom_they_come_from(sender: str) -> None:
    with pytest.raises(SettingsError, match=r"^MAIL_FROM: "):
        load({"SMTP_URL": "smtp://mail.example", "MAIL_FROM": sender})
    assert load({"SMTP_URL": "smtp://mail.example", "MAIL_FROM": "Aclue <a@x.example>"}).smtp_url


@pytest.mark.parametrize(("text", "meant"), [("true", True), ("false", False), ("1", True), ("0", False)])
def test_a_switch_is_read(text: str, meant: bool) -> None:
    assert load({"DATABASE_POOL_PRE_PING": text}).database_pool_pre_ping is meant


def test_claims_are_pipelined_where_statements_can_be_prepared() -> None:
    assert load({}).claims_mode is ClaimsMode.PIPELINED
    assert load({"CLAIMS_MODE": "transaction"}).claims_mode is ClaimsMode.TRANSACTION
    assert load({"PREPARED_STATEMENTS": "false"}).claims_mode is ClaimsMode.TRANSACTION
    assert load({"PREPARED_STATEMENTS": "false", "CLAIMS_MODE": "transaction"}).claims_mode is ClaimsMode.TRANSACTION


def test_pipelined_claims_without_prepared_statements_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"^CLAIMS_MODE: pipelined needs prepared statements"):
        load({"PREPARED_STATEMENTS": "false", "CLAIMS_MODE": "pipelined"})


@pytest.mark.parametrize("secret", ["", "x" * 31])
def test_production_needs_a_secret_of_its_own(secret: str) -> None:
    with pytest.raises(SettingsError, match=r"^JWT_SECRET: production"):
        load({**PRODUCTION, "JWT_SECRET": secret})


def test_production_needs_a_database_of_its_own() -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: production"):
        load({**PRODUCTION, "DATABASE_URL": ""})


def test_production_starts_with_a_secret() -> None:
    loaded = load(PRODUCTION)
    assert loaded.environment is Environment.PRODUCTION


def test_attempts_are_tighter_in_production() -> None:
    production = load(PRODUCTION)
    assert production.sign_in_attempts < load({}).sign_in_attempts


def test_production_tells_pages_of_other_origins_nothing_and_does_not_describe_itself() -> None:
    assert load(PRODUCTION).allowed_origins == []
    assert not load(PRODUCTION).introspection
    assert load({}).introspection


def test_origins_are_separated_by_commas() -> None:
    given = "https://Shop.example, http://localhost:*,"
    assert load({"CORS_ORIGINS": given}).allowed_origins == ["https://shop.example", "http://localhost:*"]


def test_origins_may_be_subdomains_and_apps() -> None:
    given = ["https://*.shop.example", "http://*.localhost:*", "capacitor://localhost", "ionic://localhost"]
    assert load({"CORS_ORIGINS": ",".join(given)}).allowed_origins == given


def test_headers_are_separated_by_commas() -> None:
    assert load({"CORS_HEADERS": "X-Shop-Version, x-build,"}).allowed_headers == ["x-shop-version", "x-build"]


def test_a_limit_of_attempts_that_is_given_holds_in_development_too() -> None:
    assert load({"SIGN_IN_ATTEMPTS": "3"}).sign_in_attempts == 3


def test_an_error_does_not_show_the_secret() -> None:
    with pytest.raises(SettingsError) as refused:
        load({"JWT_SECRET": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_unknown_variables_are_none_of_our_business() -> None:
    assert load({"PATH": "/bin", "PORTS": "none"}) == load({})


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"HOST": "::1", "PORT": "80"}, "http://[::1]:80"),
        ({"PUBLIC_URL": "https://api.example/"}, "https://api.example"),
    ],
)
def test_the_base_url_is_where_the_world_reaches_us(given: dict[str, str], url: str) -> None:
    assert load(given).base_url == url


def test_mails_link_to_the_app_or_else_to_us() -> None:
    assert load({"PUBLIC_URL": "https://api.example/"}).app_base_url == "https://api.example"
    assert load({"PUBLIC_URL": "https://api.example", "APP_URL": "https://app.example/"}).app_base_url == (
        "https://app.example"
    )


@pytest.mark.parametrize("name", ["PUBLIC_URL", "APP_URL"])
@pytest.mark.parametrize(
    "url", ["shop.example", "javascript:alert(1)", "https://", "https://[shop", "https://a b.example"]
)
def test_an_address_that_links_begin_with_must_be_one(name: str, url: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load({name: url})


@pytest.mark.parametrize("url", ["keys.example", "file:///etc/keys.json", "ftp://keys.example", "https:///keys"])
def test_keys_are_fetched_from_an_address_of_the_web(url: str) -> None:
    with pytest.raises(SettingsError, match="JWT_JWKS_URL"):
        load({"JWT_JWKS_URL": url})
    assert load({"JWT_JWKS_URL": "https://keys.example/jwks?app=1"}).jwt_jwks_url == "https://keys.example/jwks?app=1"


def test_mails_of_production_link_to_an_address_that_the_world_reaches() -> None:
    mail = {"SMTP_URL": "smtp://mail.example", "MAIL_FROM": "no-reply@shop.example"}
    with pytest.raises(SettingsError, match="APP_URL"):
        load({**PRODUCTION, **mail})
    assert load({**PRODUCTION, **mail, "PUBLIC_URL": "https://api.example"}).app_base_url == "https://api.example"


def test_attempts_are_counted_over_a_day_at_most() -> None:
    assert load({"ATTEMPT_WINDOW": "86400"}).attempt_window == 86400
    with pytest.raises(SettingsError, match="ATTEMPT_WINDOW"):
        load({"ATTEMPT_WINDOW": "86401"})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        load({}).port = 1  # type: ignore[misc]


def example() -> list[tuple[str, str]]:
    """The variables of .env.example with their values, commented out or not."""
    text = (ROOT / ".env.example").read_text()
    return re.findall(r"^(?:# ?)?([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE)


def test_the_example_lists_every_variable_once_and_nothing_else() -> None:
    assert sorted(name for name, _ in example()) == sorted(VARIABLES)


def test_the_example_gives_the_defaults() -> None:
    given = {name: text for name, text in example() if text}
    assert {name: getattr(load({name: text}), VARIABLES[name]) for name, text in given.items()} == {
        name: DEFAULTS[name] for name in given
    }


def test_nothing_else_reads_the_environment() -> None:
    folders = ("commands", "transports", "engine", "schema", "resolvers", "plan", "services", "db", "domain")
    files = [
        ROOT / "server.py",
        ROOT / "cli.py",
        *(path for folder in folders for path in (ROOT / folder).rglob("*.py")),
    ]
    readers = {"os.getenv", "os.environb", "os.environ.get", "os.environ.items", "os.environ.copy"}
    found = [
        f"{path.name}:{node.lineno}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and ast.unparse(node) in readers)
        or (isinstance(node, ast.Subscript | ast.Compare) and "os.environ" in ast.unparse(node))
    ]
    assert found == []


def test_replicas_need_a_primary_and_several_workers_a_redis() -> None:
    urls = {"READ_DATABASE_URLS": "postgresql://a@one/b  postgresql://a@two/b"}
    with pytest.raises(SettingsError, match="READ_DATABASE_URLS: needs DATABASE_URL"):
        load(urls)
    given = {**urls, "DATABASE_URL": "postgresql://a@primary/b"}
    assert load(given).read_urls == ["postgresql://a@one/b", "postgresql://a@two/b"]
    with pytest.raises(SettingsError, match="READ_DATABASE_URLS: with several WORKERS it needs REDIS_URL"):
        load({**given, "WORKERS": "2"})
    assert load({**given, "WORKERS": "2", "REDIS_URL": "redis://localhost/0"}).workers == 2
    with pytest.raises(SettingsError, match="READ_DATABASE_URLS: connect_timeout=soon"):
        load({**given, "READ_DATABASE_URLS": "postgresql://a@one/b?connect_timeout=soon"})
