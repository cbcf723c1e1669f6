"""What the database knows of a shop's links: rows with the columns domain, tracking_hosts, click_parameter, network,
network_hosts and rules (text) as a Shop of domain/links.py."""

from __future__ import annotations

from functools import lru_cache

import asyncpg
import msgspec

from domain.hosts import BadAddress
from domain.links import Rule, Shop, normal_domain


@lru_cache(256)
def rules_of(text: str) -> tuple[Rule, ...]:
    """The rules that private.network_rules() returns."""
    return msgspec.json.decode(text, type=tuple[Rule, ...])


@lru_cache(4096)
def _domain(text: str) -> str | None:
    try:
        return normal_domain(text)
    except BadAddress:
        return None  # no link is within it


def shop_of(row: asyncpg.Record) -> Shop:
    """The Shop of a row."""
    return Shop(
        domain=_domain(row["domain"]) if row["domain"] else None,
        tracking_hosts=tuple(row["tracking_hosts"]),
        click_parameter=row["click_parameter"],
        network=row["network"],
        network_hosts=tuple(row["network_hosts"]),
        rules=rules_of(row["rules"]),
    )
