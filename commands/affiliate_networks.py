"""Affiliate networks and the rules of their links: docs/links.md."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, cast

import asyncpg
import typer

from commands.terminal import connected_as_owner, databases, fail, load_settings
from db.queries import QUERIES
from domain.hosts import BadAddress
from domain.link_places import Place
from domain.links import Rule, normal_domain, rule_complaints

MAX_HOSTS = 200

Code = Annotated[str, typer.Argument(help="The network's code, in lower case.")]
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
                f"{row['hosts']:>4} hosts"
            )

    _run(work)


def show(code: Code) -> None:
    """Print a network's tracking hosts, rules and placements."""

    async def work(owner: Owner) -> None:
        network = await owner.fetchrow(_query("one"), code)
        if network is None:
            fail(f"there is no network {code}; see `aclue network list`")
        print(f"{network['code']}: {network['name']} ({network['source']})")
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
) -> None:
    """Add a network, or a rule and tracking hosts to one. Loads of the reference data keep what you add."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) or len(code) > 50:
        fail(f"{code}: give lower-case words with hyphens, at most 50 characters")
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
        await owner.execute(_query("put"), code, name, hosts)
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
