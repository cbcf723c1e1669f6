"""Why an operation, or a single run of it, falls back to graphql-core's execution."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why no plan answered: the keys of `Engine.counts` and `receipt.reason`. docs/plans.md explains each."""

    OFF = "off"
    VARIABLES = "variables"
    ARGUMENTS = "arguments"
    CONDITION = "condition without a value"
    INTROSPECTION = "introspection"
    SEVERAL_MUTATIONS = "several mutations"
    KIND = "kind of operation"
    DIRECTIVE = "directive"
    ABSTRACT_TYPE = "abstract type"
    ATTRIBUTE = "attribute of a row"
    CONNECTION = "connection over no rows"
    CONNECTION_FIELD = "field of a connection"
    PAGE_INFO_FIELD = "field of a page's info"
    SHARED_COUNT = "count below a shared row"
    COLUMNS = "columns"
    VARIANTS = "too many variants"
    DEPTH = "depth"
    ERROR = "error"
    PAYLOAD = "payload"


class NotPlanned(Exception):
    """The operation has something that plans do not support."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Mismatch(Exception):
    """A value does not match its type, such as null in a non-null field. graphql-core's execution reports the error."""
