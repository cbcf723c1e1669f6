"""Ids of requests: in each answer, in the log, and in what Postgres notes beside a change."""

from __future__ import annotations

import secrets

from db.claims import REQUEST_ID


def new_request_id() -> str:
    """The id of the request that this task answers from now on."""
    request_id = secrets.token_hex(8)
    REQUEST_ID.set(request_id)
    return request_id
