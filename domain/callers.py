"""The other end of a connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """`address` is the client's IP address, also behind trusted proxies; empty if unknown. `wants_privacy`: it sends
    Sec-GPC: 1 (Global Privacy Control), so nothing is stored that tells its visits or its device apart."""

    address: str = ""
    user_agent: str | None = None
    wants_privacy: bool = False
