"""What shops and networks agreed to pay: rules of the commission that a click expects. docs/money.md"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import asyncpg
import typer

from commands.operations import as_service, instant, key_of_slug, number
from commands.terminal import fail, uuid_of
from domain.errors import Invalid
from domain.money import exponent_of, to_decimal, to_minor

if TYPE_CHECKING:
    from db.session import Session

_MAX_CONVERSIONS = 2**31 - 1

Rule = Annotated[str, typer.Argument(help="The rule's id: see list.")]


def list_rules() -> None:
    """Print all rules: of what, what is paid, and when."""
    for row in as_service(lambda session: session.fetch("commission_rules.listed", rule=None)):
        _print(row)


def add(
    shop: Annotated[str | None, typer.Option(help="The slug of a retailer.")] = None,
    network: Annotated[str | None, typer.Option(help="The code of a network: all its shops.")] = None,
    category: Annotated[str | None, typer.Option(help="The slug of a category: it, and all below it.")] = None,
    brand: Annotated[str | None, typer.Option(help="The slug of a brand.")] = None,
    rate: Annotated[str | None, typer.Option(help="A share of the price: 0.05.")] = None,
    flat: Annotated[str | None, typer.Option(help="An amount for each sale, in place of a rate.")] = None,
    cap: Annotated[str | None, typer.Option(help="The most that a sale earns.")] = None,
    currency: Annotated[str | None, typer.Option(help="ISO 4217: the rule counts for prices in it only.")] = None,
    min_conversions: Annotated[
        int | None,
        typer.Option(help="From so many sales in the month of the click (UTC).", min=1, max=_MAX_CONVERSIONS),
    ] = None,
    since: Annotated[str | None, typer.Option(help="ISO 8601 time; default: now.")] = None,
    until: Annotated[str | None, typer.Option(help="ISO 8601 time; default: for ever.")] = None,
) -> None:
    """Add a rule. Of several that fit a click the most specific counts; clicks of before keep what they expected."""
    if (shop is None) == (network is None):
        fail("give --shop or --network: whose the rule is")
    if (rate is None) == (flat is None):
        fail("give --rate or --flat: what a sale earns")
    if currency is None and (flat is not None or cap is not None):
        fail("--flat and --cap need --currency")
    share = number(rate, "--rate", "a share of the price, such as 0.05")
    if share is not None and not (share.is_finite() and 0 <= share <= 1 and share == round(share, 4)):
        fail(f"--rate {rate}: give a share of the price from 0 to 1, of at most four decimals")
    begin, end = instant(since, "--since"), instant(until, "--until")
    if end is not None and end <= (begin or datetime.now(UTC)):
        fail("--until: the rule would end before it begins")
    values = {
        "network": network,
        "rate": share,
        "flat_minor": _minor("--flat", flat, currency),
        "cap_minor": _minor("--cap", cap, currency),
        "currency": currency,
        "min_conversions": min_conversions,
        "valid_from": begin,
        "valid_until": end,
    }

    async def work(session: Session) -> asyncpg.Record | None:
        keys = {
            "retailer": await key_of_slug(session, "retailers", shop) if shop is not None else None,
            "category": await key_of_slug(session, "categories", category) if category is not None else None,
            "brand": await key_of_slug(session, "brands", brand) if brand is not None else None,
        }
        if network is not None and await session.fetchrow("affiliate_networks.one", code=network) is None:
            fail(f"there is no network {network!r}")
        added = await session.fetchrow("commission_rules.add", **values, **keys)
        return None if added is None else await session.fetchrow("commission_rules.listed", rule=added["id"])

    row = as_service(work)
    if row is None:
        fail("there is a rule for the same from the same time: end it first")
    _print(row)


def end(
    rule: Rule,
    at: Annotated[str | None, typer.Option(help="ISO 8601 time; default: now.")] = None,
) -> None:
    """End a rule. One that has not begun by then is removed."""
    key, time = uuid_of(rule, "RULE"), instant(at, "--at")
    if time is not None and time < datetime.now(UTC):
        fail("--at: the time is over, and clicks of since then keep what they expected")
    rows = as_service(lambda session: session.fetch("commission_rules.end_at", rule=key, valid_until=time))
    if not rows:
        fail(f"no rule {rule} is in force or begins later: see `aclue commission list`")
    print(f"{key}  {'ends' if rows[0]['is_kept'] else 'removed: it had not begun'}")


def _minor(option: str, text: str | None, currency: str | None) -> int | None:
    amount = number(text, option, "an amount such as 2.50")
    try:
        if currency is not None:
            exponent_of(currency, ("--currency",))
    except Invalid as error:
        fail(f"--currency {currency}: {error}")
    try:
        return None if amount is None or currency is None else to_minor(amount, currency, (option,))
    except Invalid as error:
        fail(f"{option} {text}: {error}")


def _print(row: asyncpg.Record) -> None:
    def amount(minor: int) -> str:
        return f"{to_decimal(minor, row['currency'])} {row['currency']}"

    terms: list[Any] = [
        f"{float(row['rate']):.4g} of the price" if row["rate"] is not None else f"{amount(row['flat_minor'])} a sale",
        *([f"at most {amount(row['cap_minor'])}"] if row["cap_minor"] is not None else []),
        *([f"of prices in {row['currency']}"] if row["currency"] and row["flat_minor"] is None else []),
        *([f"from {row['min_conversions']} sales a month"] if row["min_conversions"] else []),
    ]
    whose = f"shop {row['retailer']}" if row["retailer"] else f"network {row['affiliate_network']}"
    what = [f"{noun} {row[noun]}" for noun in ("category", "brand") if row[noun]]
    until = f" until {row['valid_until']:%Y-%m-%dT%H:%MZ}" if row["valid_until"] else ""
    print(f"{row['id']}  {', '.join([whose, *what])}: {', '.join(terms)}")
    print(f"  {row['state']}: from {row['valid_from']:%Y-%m-%dT%H:%MZ}{until}")
