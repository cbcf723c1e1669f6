"""The other end of a connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """`address` is the client's IP address, also behind trusted proxies; empty if unknown."""

    address: str = ""
    user_agent: str | None = None
