"""Postgres: pool, claims, sessions, loaders, named queries, migrations, the embedded server."""
