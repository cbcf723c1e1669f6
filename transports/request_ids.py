"""Request ids: in each response, in the log, and in the audit log."""

from __future__ import annotations

import os

from db.claims import REQUEST_ID


def new_request_id() -> str:
    """Generates the id of the request that this task is going to answer."""
    request_id = os.urandom(8).hex()
    REQUEST_ID.set(request_id)
    return request_id
