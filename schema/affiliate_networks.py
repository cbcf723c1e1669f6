"""Affiliate networks and the rules of their links, for administrators: docs/links.md."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import Any, cast

import strawberry

from db.sources import Listing, Reference
from domain.links import MAX_NAMES, Rule
from domain.pages import length_of
from resolvers import affiliate_networks
from resolvers.affiliate_networks import MAX_HOSTS, MAX_RULES, TYPICAL_RATE, NetworkChanges, NewNetwork
from schema.bounds import at_most
from schema.context import Info
from schema.errors import Stores, UserError, outcome, user_errors
from schema.node import Row, column, listed, load, row, to_many

MAX_NETWORKS = 1000
DEFAULT_SIZE = 40  # with all their rules, a request may read no more


@strawberry.enum(description="Where a link carries a value.")
class LinkPlace(Enum):
    QUERY = strawberry.enum_value("query", description="In the query, behind the other parameters.")
    BEFORE = strawberry.enum_value("before", description="In the query, in front of the destination.")
    FIELDS = strawberry.enum_value("fields", description="In a query of the form `?a(1)b(2)`.")
    PART = strawberry.enum_value("part", description="The fourth part of a parameter, as in `?tt=1_2_3_ID`.")
    SEGMENTS = strawberry.enum_value("segments", description="In the path, as in `/name/ID/`.")
    PAIRS = strawberry.enum_value("pairs", description="In the path, as in `/name:ID/`.")


@strawberry.enum(description="What a link carries.")
class LinkValue(Enum):
    CLICK = strawberry.enum_value("click", description="The id of the click.")
    PLACEMENT = strawberry.enum_value(
        "placement", description="The tracking id of a placement, for networks that forbid ids of visitors."
    )


@row("public.network_link_rules", keys=("network", "position"))
@strawberry.type(description="Where links of a network carry a value. The first rule that fits a link counts.")
class LinkRule(Row):
    host: str = column("`*`: any tracking host; `shop`: the shop's own hosts; else this domain with its subdomains.")
    path: str = column("Of the links that it is for; a `*` is any text.")
    place: LinkPlace = column("Where the value goes.", read=LinkPlace)
    parameter: str = column("The name of the value, as the network spells it.")
    destination: list[str] = column("The names of what says where a link leads.", limit=MAX_NAMES)
    carries: LinkValue = column("What the link carries.", read=LinkValue)
    removes: list[str] = column("Parameters that links must not have.", limit=MAX_NAMES)
    max_length: int = column("Of the value.")
    characters: str = column("Of the value, as in `A-Za-z0-9_-`.")


@row("public.affiliate_networks")
@strawberry.type(description="An affiliate network, which tracks sales of shops.")
class AffiliateNetwork(Row):
    code: str = column("Names it, in mappings and in `Retailer.network`.")
    name: str = column("As people know it.")
    tracking_hosts: list[str] = column("Hosts of its links, which count with their subdomains.", limit=MAX_HOSTS)
    commission_rate: Decimal = column(
        "What its shops typically pay, as a share of the price, 0 to 1; for shops that have agreed on no rate."
    )
    rules: list[LinkRule] = to_many(
        "Where its links carry the click, in the order in which they are tried.",
        key="code",
        by="network",
        order_by="r.position",
        limit=MAX_RULES,
    )


@strawberry.type
class AffiliateNetworkQuery:
    @strawberry.field(
        description="An affiliate network by its code; null if there is none. For administrators.",
        graphql_type=AffiliateNetwork | None,
    )
    def affiliate_network(self, info: Info, code: str) -> Reference[AffiliateNetwork]:
        affiliate_networks.require_reader(info.context.session)
        return load(info, AffiliateNetwork, code, "code")

    @strawberry.field(
        description=f"All affiliate networks, by code; `first` may be up to {MAX_NETWORKS}. For administrators.",
        metadata=at_most(MAX_NETWORKS),
        graphql_type=list[AffiliateNetwork],
    )
    def affiliate_networks(self, info: Info, first: int = DEFAULT_SIZE) -> Listing[AffiliateNetwork]:
        affiliate_networks.require_reader(info.context.session)
        size = length_of(first, maximum=MAX_NETWORKS)
        return listed(info, AffiliateNetwork, where="true", order_by="r.code", size=size)


@strawberry.input(description="Where links carry a value: see `LinkRule`.")
class LinkRuleInput:
    parameter: str = strawberry.field(description="The name of the value, as the network spells it.")
    place: LinkPlace = strawberry.field(default=LinkPlace.QUERY, description="Where the value goes.")
    host: str = strawberry.field(
        default="*",
        description="`*`: any tracking host; `shop`: the shop's own hosts; else one host with its subdomains.",
    )
    path: str = strawberry.field(default="*", description="Of the links that it is for; a `*` is any text.")
    destination: list[str] = strawberry.field(
        default_factory=list, description=f"The names of what says where a link leads; at most {MAX_NAMES}."
    )
    carries: LinkValue = strawberry.field(default=LinkValue.CLICK, description="What the link carries.")
    removes: list[str] = strawberry.field(
        default_factory=list, description=f"Parameters that links must not have; at most {MAX_NAMES}."
    )
    max_length: int = strawberry.field(default=255, description="Of the value; 26 or more for a click.")
    characters: str = strawberry.field(default="A-Za-z0-9_-", description="Of the value.")

    def plain(self) -> Rule:
        return Rule(
            host=self.host,
            path=self.path,
            place=cast(Any, self.place.value),
            parameter=self.parameter,
            destination=tuple(name.lower() for name in self.destination),
            carries=cast(Any, self.carries.value),
            removes=tuple(name.lower() for name in self.removes),
            max_length=self.max_length,
            characters=self.characters,
        )


@strawberry.input(description="A new affiliate network.")
class AffiliateNetworkInput:
    code: str = strawberry.field(description="Lower-case words with hyphens, for good.")
    name: str = strawberry.field(description="1 to 255 characters.")
    rules: list[LinkRuleInput] = strawberry.field(
        description=f"In the order in which they are tried, 1 to {MAX_RULES}."
    )
    tracking_hosts: list[str] = strawberry.field(
        default_factory=list,
        description=f"Hosts of its links, at most {MAX_HOSTS}. Needed unless all rules are for the shops' own hosts.",
    )
    commission_rate: Decimal = strawberry.field(
        default=TYPICAL_RATE, description="What its shops typically pay, as a share of the price, 0 to 1."
    )


@strawberry.input(
    description="Changes to an affiliate network; omitted fields stay unchanged, and lists replace all. Loads of the "
    "reference data keep what is set here."
)
class UpdateAffiliateNetworkInput:
    code: str = strawberry.field(description="The network's code.")
    name: str | None = strawberry.field(default=None, description="1 to 255 characters.")
    rules: list[LinkRuleInput] | None = strawberry.field(
        default=None, description=f"In the order in which they are tried, 1 to {MAX_RULES}."
    )
    tracking_hosts: list[str] | None = strawberry.field(
        default=None,
        description=f"At most {MAX_HOSTS}. Links to a host that is taken away are refused from then on.",
    )
    commission_rate: Decimal | None = strawberry.field(
        default=None, description="What its shops typically pay, as a share of the price, 0 to 1."
    )


@strawberry.type(description="The outcome of creating or changing an affiliate network.")
class AffiliateNetworkPayload:
    network: Reference[AffiliateNetwork] | None = strawberry.field(
        graphql_type=AffiliateNetwork | None, default=None, description="As it is now."
    )
    user_errors: list[UserError] = user_errors()


def _rules(given: list[LinkRuleInput]) -> list[Rule]:
    return [rule.plain() for rule in given]


@strawberry.type
class AffiliateNetworkMutation:
    @strawberry.mutation(description="Adds an affiliate network. For administrators.")
    @outcome(AffiliateNetworkPayload, stores=Stores(row=300, each="rules"))
    async def create_network(self, info: Info, input: AffiliateNetworkInput) -> AffiliateNetworkPayload:
        new = NewNetwork(
            code=input.code,
            name=input.name,
            tracking_hosts=input.tracking_hosts,
            rules=_rules(input.rules),
            commission_rate=input.commission_rate,
        )
        code = await affiliate_networks.create(info.context.session, new)
        return AffiliateNetworkPayload(network=load(info, AffiliateNetwork, code, "code"))

    @strawberry.mutation(description="Changes an affiliate network. For administrators.")
    @outcome(AffiliateNetworkPayload)
    async def update_network(self, info: Info, input: UpdateAffiliateNetworkInput) -> AffiliateNetworkPayload:
        changes = NetworkChanges(
            name=input.name,
            tracking_hosts=input.tracking_hosts,
            rules=None if input.rules is None else _rules(input.rules),
            commission_rate=input.commission_rate,
        )
        code = await affiliate_networks.update(info.context.session, input.code, changes)
        return AffiliateNetworkPayload(network=load(info, AffiliateNetwork, code, "code"))
