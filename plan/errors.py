"""Why an operation, or a single run of it, falls back to graphql-core's execution."""

from __future__ import annotations


class NotPlanned(Exception):
    """The operation has something that plans do not support. `reason` is a short constant, as it is a metric's key."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Mismatch(Exception):
    """A value does not match its type, such as null in a non-null field. graphql-core's execution reports the error."""
