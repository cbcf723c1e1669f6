"""Checks of the server, its capacity, migrations, and reference data."""

from __future__ import annotations

from db import reference
from db.claims import ANONYMOUS, SERVICE
from db.migrations import OLDEST_POSTGRES, migration_files, repeatable_files
from db.verification.check import Bench, Check, query

MAX_USE_SHARE = 0.8
MAX_UNMAPPED_SHARE = 0.2
_MIGRATE = "run `aclue migrate` with MIGRATION_DATABASE_URL set"
_REFERENCE = "it comes with a migration: insert what is gone, or restore it from a backup"
_RELOAD = "run `aclue reference load` with MIGRATION_DATABASE_URL set"
_CATALOGUE = "it comes with the catalogue: see catalogue/mappings/README.md"


async def _applied(bench: Bench) -> dict[str, str]:
    return {row["name"]: row["checksum"] for row in await bench.rows("migrations.applied", role=SERVICE)}


async def _pending(bench: Bench) -> list[str]:
    applied = await _applied(bench)
    return [file.name for file in migration_files() if file.name not in applied]


async def _unknown(bench: Bench) -> list[str]:
    known = {file.name for file in migration_files()}
    return [name for name in await _applied(bench) if name.startswith("migrations/") and name not in known]


async def _changed(bench: Bench) -> list[str]:
    applied = await _applied(bench)
    return [file.name for file in migration_files() if applied.get(file.name, file.checksum) != file.checksum]


async def _stale(bench: Bench) -> list[str]:
    applied = await _applied(bench)
    return [file.name for file in repeatable_files() if applied.get(file.name) != file.checksum]


async def _other_reference(bench: Bench) -> list[str]:
    loaded = (await _applied(bench)).get(reference.MARK)
    if loaded is None:
        return ["they were never loaded"]
    return [] if loaded == reference.checksum() else ["they are those of another release"]


async def _too_few_connections(bench: Bench) -> list[str]:
    settings = bench.settings
    wanted = (settings.database_pool_size + settings.database_max_overflow) * settings.workers
    return [row["fault"] for row in await bench.rows("verify_server.too_few_connections", wanted=wanted)]


CHECKS = (
    Check(
        "server.version",
        f"PostgreSQL is {OLDEST_POSTGRES} or newer",
        "upgrade the server",
        query("verify_server.too_old", oldest=OLDEST_POSTGRES),
    ),
    Check("server.plpgsql", "plpgsql is installed", "create extension plpgsql", query("verify_server.no_plpgsql")),
    Check(
        "server.encoding",
        "texts are UTF-8",
        "create a database with encoding UTF8 and restore into it",
        query("verify_server.wrong_encoding"),
    ),
    Check(
        "server.time_zone",
        "the time zone is UTC",
        "alter database … set timezone = 'UTC'",
        query("verify_server.wrong_time_zone"),
    ),
    Check(
        "server.writable",
        "the server takes writes",
        "connect to the primary; alter database … reset default_transaction_read_only",
        query("verify_server.not_writable"),
    ),
    Check(
        "server.row_security",
        "policies filter rows instead of failing statements",
        "alter role … reset row_security",
        query("verify_server.row_security_off"),
    ),
    Check(
        "server.jit",
        "statements are interpreted, not compiled",
        "alter database … set jit = off; `aclue migrate` does it",
        query("verify_server.jit_on"),
    ),
    Check(
        "server.ids",
        "new ids are UUIDv7 with the current time",
        "set the server's clock; run `aclue migrate`",
        query("verify_server.id_faults", role=SERVICE),
    ),
    Check(
        "capacity.pools_fit",
        "the server allows the connections that all pools together may open",
        "raise max_connections or the limit of database or role, or lower DATABASE_POOL_SIZE, DATABASE_MAX_OVERFLOW,"
        " WORKERS",
        _too_few_connections,
    ),
    Check(
        "capacity.connections",
        f"less than {MAX_USE_SHARE:.0%} of the connections are in use",
        "see pg_stat_activity for who holds them; raise max_connections",
        query("verify_server.connections_used_up", share=MAX_USE_SHARE),
    ),
    Check("migrations.applied", "every migration of this code was applied", _MIGRATE, _pending),
    Check(
        "migrations.known",
        "the database has no migration that this code does not know",
        "deploy the newer code, or roll back with it: `aclue migrate --rollback`",
        _unknown,
    ),
    Check(
        "migrations.unchanged",
        "applied migrations are identical to those of this code",
        "restore the file as it was released; changes go into a new migration",
        _changed,
    ),
    Check("migrations.repeatables", "functions and policies are those of this code", _MIGRATE, _stale),
    Check(
        "reference.currencies",
        "currencies have their exponents",
        _REFERENCE,
        query("verify_reference.wrong_currencies", role=ANONYMOUS),
    ),
    Check(
        "reference.affiliate_networks",
        "the networks of the shops are known",
        _REFERENCE,
        query("verify_reference.wrong_networks", role=ANONYMOUS),
    ),
    Check(
        "reference.quiz",
        "one version of the quiz is current",
        "update public.quiz_versions set is_current = true where version = …",
        query("verify_reference.no_current_quiz", role=ANONYMOUS),
    ),
    Check(
        "reference.quiz_questions",
        "the quiz has enough questions for every trait",
        _REFERENCE,
        query("verify_reference.thin_quiz", role=ANONYMOUS),
    ),
    Check(
        "reference.quiz_texts",
        "every question and answer has an English text",
        _REFERENCE,
        query("verify_reference.unworded_quiz", role=ANONYMOUS),
    ),
    Check(
        "reference.quiz_norms",
        "the quiz has norms, without which it is not served",
        "aclue quiz load FILE, with the norms beside it",
        query("verify_reference.unnormed_quiz", role=ANONYMOUS),
    ),
    Check(
        "reference.mappings",
        "every personality is mapped to every gift category",
        _RELOAD,
        query("verify_reference.missing_mappings", role=ANONYMOUS),
    ),
    Check(
        "reference.gift_categories",
        "there are gift categories",
        _RELOAD,
        query("verify_reference.no_gift_categories", role=ANONYMOUS),
    ),
    Check(
        "reference.release",
        "the reference data are those of this code",
        "run `aclue reference load --diff` to see what differs, then `aclue reference load`",
        _other_reference,
    ),
    Check(
        "reference.products",
        f"{1 - MAX_UNMAPPED_SHARE:.0%} of the products or more are in categories whose kind of gift is known",
        "`aclue import products --unmapped` lists the others: name their categories in [categories] of the feed's"
        " mapping, and import again",
        query("verify_reference.unmapped_products", role=ANONYMOUS, share=MAX_UNMAPPED_SHARE),
    ),
    Check(
        "reference.gift_rules",
        "the gift finder has rules for occasions, relationships and ages",
        _REFERENCE,
        query("verify_reference.missing_rules", role=ANONYMOUS),
    ),
    Check(
        "reference.categories",
        "there are categories, with the one for products without",
        _CATALOGUE,
        query("verify_reference.missing_categories", role=ANONYMOUS),
    ),
    Check(
        "reference.model",
        "there is a recommendation model",
        "select private.refresh_model(); the server does so when swipes, products or mappings change",
        query("verify_reference.no_model", role=ANONYMOUS),
    ),
    Check(
        "reference.model_features",
        "the newest model knows the products",
        "select private.refresh_model()",
        query("verify_reference.featureless_model", role=ANONYMOUS),
    ),
)
