"""Why an operation, or one run of it, is left to ordinary execution."""

from __future__ import annotations


class NotPlanned(Exception):
    """The operation holds something that plans do not cover. `reason` is a short, fixed text: it is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Mismatch(Exception):
    """A value does not fit its type, such as null in a non-null field. Ordinary execution reports it in GraphQL's
    words."""
