"""Writing affiliate networks and the rules of their links: docs/links.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from db.session import Session
from domain.errors import Conflict, Invalid, NotFound
from domain.hosts import BadAddress
from domain.links import Rule, normal_domain, rule_complaints
from domain.texts import require_no_nul
from resolvers.catalogue import name_of, rate_of, require_proven_administrator, writing
from resolvers.profiles import require_role

MAX_HOSTS = 200
MAX_RULES = 100
MAX_CODE = 50
TYPICAL_RATE = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class NewNetwork:
    """`commission_rate` is 0..1: what shops of the network typically pay."""

    code: str
    name: str
    tracking_hosts: Sequence[str]
    rules: Sequence[Rule]
    commission_rate: Decimal = TYPICAL_RATE


@dataclass(frozen=True, slots=True)
class NetworkChanges:
    """None leaves a value unchanged; lists replace all."""

    name: str | None = None
    tracking_hosts: Sequence[str] | None = None
    rules: Sequence[Rule] | None = None
    commission_rate: Decimal | None = None


def require_reader(session: Session) -> None:
    """Raises Unauthenticated, or Forbidden for callers who are not administrators."""
    require_role(session, session.claims.may_administer, "Only administrators may read affiliate networks.")


def check_code(code: str) -> None:
    """Raises Invalid unless it is in kebab-case."""
    if len(code) > MAX_CODE or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code):
        raise Invalid(f"`code` takes lower-case words with hyphens, of at most {MAX_CODE} characters.", ("code",))


async def create(session: Session, new: NewNetwork) -> str:
    """Creates a network; returns its code. Raises Forbidden, Invalid, or Conflict if there is one with this code."""
    await require_proven_administrator(session)
    check_code(new.code)
    hosts, rules = _hosts(new.tracking_hosts), _rules(new.rules)
    if not hosts and any(rule.host != "shop" for rule in rules):
        raise Invalid("Name a tracking host, or no link will be of this network.", ("trackingHosts",))
    async with writing(session):
        created: str | None = await session.fetchval(
            "affiliate_networks.create",
            code=new.code,
            name=name_of(new.name),
            tracking_hosts=hosts,
            commission_rate=rate_of(new.commission_rate),
        )
        if created is None:
            raise Conflict("There is a network with this code.", ("code",))
        await _replace_rules(session, created, rules)
    return created


async def update(session: Session, code: str, changes: NetworkChanges) -> str:
    """Raises Forbidden, Invalid or NotFound."""
    await require_proven_administrator(session)
    require_no_nul(code, ("code",))
    name = None if changes.name is None else name_of(changes.name)
    hosts = None if changes.tracking_hosts is None else _hosts(changes.tracking_hosts)
    rules = None if changes.rules is None else _rules(changes.rules)
    async with writing(session):
        if await session.fetchval("affiliate_networks.lock", code=code) is None:
            raise NotFound("There is no such network.", ("code",))
        await session.fetch(
            "affiliate_networks.update",
            code=code,
            name=name,
            tracking_hosts=hosts,
            commission_rate=rate_of(changes.commission_rate),
        )
        if rules is not None:
            await _replace_rules(session, code, rules)
    return code


async def _replace_rules(session: Session, code: str, rules: Sequence[Rule]) -> None:
    await session.fetch("affiliate_networks.replace_rules", code=code, rules=msgspec.json.encode(rules).decode())


def _hosts(given: Sequence[str]) -> list[str]:
    """Each once, in the spelling of the DNS."""
    if len(given) > MAX_HOSTS:
        raise Invalid(f"A network has at most {MAX_HOSTS} tracking hosts.", ("trackingHosts",))
    hosts = {}
    for position, text in enumerate(given):
        field = ("trackingHosts", str(position))
        require_no_nul(text, field)
        try:
            hosts[normal_domain(text)] = True
        except BadAddress as reason:
            raise Invalid(f"{text[:100]!r}: {reason}.", field) from None
    return list(hosts)


def _rules(given: Sequence[Rule]) -> list[Rule]:
    if not 1 <= len(given) <= MAX_RULES:
        raise Invalid(f"`rules` holds {len(given)}: it takes 1 to {MAX_RULES}.", ("rules",))
    for position, rule in enumerate(given):
        require_no_nul(rule.path, ("rules", str(position)))
        for complaint in rule_complaints(rule):
            raise Invalid(f"{complaint[:1].upper()}{complaint[1:]}.", ("rules", str(position)))
    return list(given)
