"""Checks that tables, columns, partitions, keys and indexes are complete and valid."""

from __future__ import annotations

from db.claims import SERVICE
from db.verification.check import Bench, Check, expecting, query
from db.verification.expected import DOCUMENTS, LEAST_INDEXES, LEAST_TABLES

DIRECTIONS = ["left", "right", "up", "down"]
_MIGRATE = "run `aclue migrate`; where it says `up to date`, the database was changed by hand"


def _document_tables(bench: Bench) -> set[str]:
    return {f"public.{table}" for table in DOCUMENTS}


def _document_columns(bench: Bench) -> set[str]:
    return {f"public.{table}.{column}" for table, columns in DOCUMENTS.items() for column in columns.split()}


async def _filled_default_partitions(bench: Bench) -> list[str]:
    assert bench.owner is not None
    names = [row["name"] for row in await bench.rows("verify_tables.default_partitions")]
    return [name for name in names if await bench.owner.fetchval(f"select exists (select from {name})")]


CHECKS = (
    Check(
        "tables.of_the_documents",
        "every table of the reference documents exists",
        _MIGRATE,
        expecting("verify_tables.missing_tables", _document_tables),
    ),
    Check(
        "tables.columns_of_the_documents",
        "every column of the reference documents exists",
        _MIGRATE,
        expecting("verify_tables.missing_columns", _document_columns),
    ),
    Check(
        "tables.of_the_migrations",
        "every table of the migrations exists",
        _MIGRATE,
        expecting("verify_tables.missing_tables", lambda bench: bench.expected.tables),
    ),
    Check(
        "tables.enough",
        f"there are {LEAST_TABLES} tables and {LEAST_INDEXES} indexes or more",
        _MIGRATE,
        query("verify_tables.too_few", tables=LEAST_TABLES, indexes=LEAST_INDEXES),
    ),
    Check(
        "tables.one_owner",
        "all tables belong to the role that migrates",
        "alter table … owner to the owner of public.profiles",
        query("verify_tables.several_owners"),
    ),
    Check(
        "tables.logged",
        "no table is unlogged, which a crash would empty",
        "alter table … set logged",
        query("verify_tables.unlogged"),
    ),
    Check(
        "tables.primary_keys",
        "every table has a primary key",
        "add it in a migration",
        query("verify_tables.without_primary_key"),
    ),
    Check(
        "tables.keyed_by_person",
        "rows that always belong to a person have the person in their key",
        "primary key (user_id, id), in a migration",
        query("verify_tables.not_keyed_by_person"),
    ),
    Check(
        "tables.found_by_person",
        "every table with user_id has an index that begins with it, for its policy",
        "create the index in a migration",
        query("verify_tables.not_found_by_person"),
    ),
    Check(
        "tables.timestamps",
        "timestamps are timestamptz",
        "alter the column's type in a migration",
        query("verify_tables.local_timestamps"),
    ),
    Check(
        "tables.money",
        "amounts are bigint minor units",
        "alter the column's type in a migration",
        query("verify_tables.inexact_money"),
    ),
    Check(
        "tables.swipe_directions",
        "a swipe goes left, right, up or down",
        _MIGRATE,
        query("verify_tables.wrong_directions", labels=DIRECTIONS),
    ),
    Check(
        "tables.updated_at",
        "every updated_at has its trigger",
        "create trigger … execute function public.update_updated_at_column(), in a migration",
        query("verify_tables.never_stamped"),
    ),
    Check(
        "tables.triggers",
        "every trigger of the files exists, including those on auth.users",
        _MIGRATE,
        expecting("verify_tables.missing_triggers", lambda bench: bench.expected.triggers),
    ),
    Check(
        "tables.triggers_enabled",
        "no trigger is switched off",
        "alter table … enable trigger …",
        query("verify_tables.disabled_triggers"),
    ),
    Check(
        "partitions.ahead",
        "partitioned tables have partitions for this month and the next",
        "select private.ensure_partitions(); the server does so at every round of housekeeping",
        query("verify_tables.missing_partitions", role=SERVICE),
    ),
    Check(
        "partitions.default",
        "every partitioned table has a default partition",
        "create table … partition of … default",
        query("verify_tables.partitioned_without_default"),
    ),
    Check(
        "partitions.default_is_empty",
        "no row is in a default partition, where it would block the partition it belongs to",
        "move the rows: detach the default partition, select private.ensure_partitions(), insert them again",
        _filled_default_partitions,
        needs_owner=True,
    ),
    Check(
        "integrity.foreign_keys_indexed",
        "every foreign key has an index",
        "create the index concurrently, in a migration",
        query("verify_tables.foreign_keys_without_index"),
    ),
    Check(
        "integrity.keys_stay_with_the_person",
        "a person's row cannot point at another person's",
        "make the foreign key (user_id, …)",
        query("verify_tables.keys_past_the_person"),
    ),
    Check(
        "integrity.deletes_decided",
        "every foreign key defines what happens on delete",
        "on delete cascade, restrict or set null",
        query("verify_tables.undecided_deletes"),
    ),
    Check(
        "integrity.people_can_go",
        "nothing prevents erasing a person",
        "on delete cascade or set null on the foreign key to profiles",
        query("verify_tables.people_who_cannot_go"),
    ),
    Check(
        "integrity.validated",
        "no constraint waits to be validated",
        "alter table … validate constraint …",
        query("verify_tables.not_validated"),
    ),
    Check(
        "integrity.constraints",
        "every constraint named in a migration exists",
        _MIGRATE,
        expecting("verify_tables.missing_constraints", lambda bench: bench.expected.constraints),
    ),
    Check(
        "integrity.constraints_named",
        "every constraint was named by a migration",
        "name it in the migration, or drop what was added by hand",
        expecting("verify_tables.unknown_constraints", lambda bench: bench.expected.constraints),
    ),
    Check(
        "indexes.there",
        "every index of the migrations exists",
        _MIGRATE,
        expecting("verify_tables.missing_indexes", lambda bench: bench.expected.indexes),
    ),
    Check(
        "indexes.valid",
        "no index was left invalid by a failed concurrent build",
        "drop index concurrently …, and make it again",
        query("verify_tables.invalid_indexes"),
    ),
    Check(
        "indexes.no_twins",
        "no two indexes are the same",
        "drop one of them concurrently",
        query("verify_tables.twin_indexes"),
    ),
)
