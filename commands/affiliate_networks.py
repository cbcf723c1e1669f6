"""Affiliate networks and the rules of their links: docs/links.md."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, cast

import asyncpg
import typer

from commands.operations import NOWHERE, as_service, rate
from commands.terminal import connected_as_owner, databases, fail, load_settings
from db.queries import QUERIES
from domain.errors import Invalid
from domain.hosts import BadAddress
from domain.link_places import Place
from domain.links import Rule, normal_domain, rule_complaints
from resolvers import affiliate_networks
from resolvers.affiliate_networks import MAX_HOSTS
from resolvers.catalogue import rate_of

Code = Annotated[str, typer.Argument(help="The network's code, in lower case.")]
Rate = Annotated[
    str | None, typer.Option(help="What its shops typically pay, as a share of the price. Default of a new one: 0.05.")
]
if TYPE_CHECKING:
    Owner = asyncpg.Connection[Any]


def _query(block: str) -> str:
    return QUERIES[f"affiliate_networks.{block}"].sql


def _run(work: Callable[[Owner], Coroutine[Any, Any, None]]) -> None:
    async def connected() -> None:
        async with connected_as_owner(dsns) as owner, owner.transaction():
            await work(owner)

    with databases(load_settings()) as dsns:
        asyncio.run(connected())


def list_networks() -> None:
    """Print the networks, and how many shops are of each."""

    async def work(owner: Owner) -> None:
        for row in await owner.fetch(_query("all")):
            print(
                f"{row['code']:16}{row['name']:24}{row['source']:11}{row['shops']:>6} shops{row['rules']:>4} rules"
                f"{row['hosts']:>4} hosts  typical rate {row['commission_rate'].normalize():f}"
            )

    _run(work)


def show(code: Code) -> None:
    """Print a network's typical rate, tracking hosts, rules and placements."""

    async def work(owner: Owner) -> None:
        network = await owner.fetchrow(_query("one"), code)
        if network is None:
            fail(f"there is no network {code}; see `aclue network list`")
        typical = network["commission_rate"].normalize()
        print(f"{network['code']}: {network['name']} ({network['source']}), typical rate {typical:f}")
        print(f"tracking hosts: {', '.join(network['tracking_hosts']) or 'none'}")
        for row in await owner.fetch(_query("rules"), code):
            print(
                f"{row['position']:>3}  host {row['host']}  path {row['path']}  {row['place']} {row['parameter']}  "
                f"destination {', '.join(row['destination']) or 'none'}  carries {row['carries']}"
                + (f"  removes {', '.join(row['removes'])}" if row["removes"] else "")
                + f"  at most {row['max_length']} of {row['characters']}  ({row['source']})"
            )
        for row in await owner.fetch(_query("placements"), code):
            print(f"{row['slug']}: {row['name']} = {row['tracking_id']}{'' if row['is_current'] else ' (earlier)'}")

    _run(work)


def add(
    code: Code,
    parameter: Annotated[str, typer.Option(help="What carries our click id, as the network spells it.")],
    name: Annotated[str | None, typer.Option(help="As people know it.")] = None,
    host: Annotated[list[str] | None, typer.Option(help="A tracking host; it counts with its subdomains.")] = None,
    place: Annotated[str, typer.Option(help="query, before, fields, part, segments or pairs.")] = "query",
    path: Annotated[str, typer.Option(help="Of the links that the rule is for; a * is any text.")] = "*",
    rule_host: Annotated[
        str, typer.Option(help="Of these links: * for any tracking host, shop for the shop's own, or one host.")
    ] = "*",
    destination: Annotated[list[str] | None, typer.Option(help="What says where a link leads.")] = None,
    carries: Annotated[str, typer.Option(help="click, or placement if ids of visitors are forbidden.")] = "click",
    remove: Annotated[list[str] | None, typer.Option(help="A parameter that links must not have.")] = None,
    max_length: Annotated[int, typer.Option(help="Of the value.")] = 255,
    characters: Annotated[str, typer.Option(help="Of the value, as in A-Za-z0-9_-.")] = "A-Za-z0-9_-",
    position: Annotated[
        int | None, typer.Option(help="Of the rule; the first that fits counts. Default: behind the others.")
    ] = None,
    commission_rate: Rate = None,
) -> None:
    """Add a network, or a rule and tracking hosts to one. Loads of the reference data keep what you add."""
    try:
        affiliate_networks.check_code(code)
        typical = rate_of(rate(commission_rate))
    except Invalid as reason:
        fail(f"{code}: {reason}")
    if position is not None and not 1 <= position <= 100:
        fail("--position: give 1 to 100")
    try:
        hosts = list(dict.fromkeys(map(normal_domain, host or [])))
        own = rule_host if rule_host in ("*", "shop") else normal_domain(rule_host)
    except BadAddress as reason:
        fail(f"--host: {reason}")
    rule = Rule(
        host=own,
        path=path,
        place=cast(Place, place),
        parameter=parameter,
        destination=tuple(name.lower() for name in destination or ()),
        carries=cast(Any, carries),
        removes=tuple(name.lower() for name in remove or ()),
        max_length=max_length,
        characters=characters,
    )
    for complaint in rule_complaints(rule):
        fail(complaint)

    async def work(owner: Owner) -> None:
        known = await owner.fetchrow(_query("one"), code)
        if len({*hosts, *(known["tracking_hosts"] if known else ())}) > MAX_HOSTS:
            fail(f"--host: a network has at most {MAX_HOSTS} tracking hosts")
        if known is None and not hosts and own != "shop":
            fail("--host: name a tracking host, or no link will be of this network")
        await owner.execute(_query("put"), code, name, hosts, typical)
        values = (
            own,
            path,
            place,
            parameter,
            list(rule.destination),
            carries,
            list(rule.removes),
            max_length,
            characters,
        )
        at = await owner.fetchval(_query("put_rule"), code, position, *values)
        print(f"{code}: rule {at}; see `aclue network show {code}`")

    _run(work)


def update(
    code: Code,
    name: Annotated[str | None, typer.Option(help="As people know it.")] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="A tracking host; those that you give take the place of all.")
    ] = None,
    commission_rate: Rate = None,
) -> None:
    """Change a network. Rules: see add and remove. Loads of the reference data keep what you change."""
    if commission_rate == NOWHERE:
        fail("--commission-rate: a network has one; give a share of the price, such as 0.05")
    changes = affiliate_networks.NetworkChanges(
        name=name, tracking_hosts=host or None, commission_rate=rate(commission_rate)
    )
    as_service(lambda session: affiliate_networks.update(session, code, changes))
    show(code)


def remove(
    code: Code,
    position: Annotated[int | None, typer.Option(help="Of one rule. Default: the whole network.")] = None,
) -> None:
    """Remove a network that no shop uses, or one of its rules."""

    async def work(owner: Owner) -> None:
        try:
            if position is None:
                gone = await owner.fetchval(_query("remove"), code)
            else:
                gone = await owner.fetchval(_query("remove_rule"), code, position)
        except (asyncpg.ForeignKeyViolationError, asyncpg.RestrictViolationError):
            fail(f"{code}: a shop, a placement or a sale is of this network")
        if gone is None:
            fail(f"there is no such {'network' if position is None else 'rule'}")

    _run(work)
