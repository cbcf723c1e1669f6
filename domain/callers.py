"""The other end of a connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """`address` is the client's IP address, behind trusted proxies too; empty where it is unknown."""

    address: str = ""
    user_agent: str | None = None
