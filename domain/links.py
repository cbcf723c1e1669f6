"""Links to shops: which are refused, and what a click's redirect leads to.

A link's host is the shop's (its domain or a subdomain), or a tracking host of its network, or one of the shop's own
tracking hosts. The rules of the network (table network_link_rules) say where its links carry our click id.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

import msgspec

from domain.affiliate import TOKEN_LENGTH, TOKEN_LETTERS
from domain.hosts import BadAddress, clean_https, is_within, normal_authority, normal_host, split_https
from domain.link_places import SETTERS, Place, destinations, fits, has_pair, remove_pairs

MAX_PLACEMENTS = 100
"""Of a shop: as many tracking ids as Amazon gives an account."""
DEFAULT_PLACEMENT = "default"
MAX_TRACKING_HOSTS = 50
"""Of a shop."""
MAX_NAMES = 10
"""Of what says where a link leads, and of what a link must not have."""
MAX_CLICK_WINDOW_HOURS = 366 * 24
"""After a click; for longer no shop pays."""

_MAX_DECODED = 3  # how often a destination may be percent-encoded
_IGNORED_BY_BROWSERS = re.compile("[\x00-\x20]+")
_WEB = re.compile(r"https?:/*([^/?#]*)|//([^/?#]*)", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9+-]*:(?!\d)", re.IGNORECASE)
_BARE = re.compile(r"[^/?#]+")
_FILES = frozenset(("asp", "aspx", "cfm", "htm", "html", "jsp", "php", "shtml"))


class Rule(msgspec.Struct, frozen=True):
    """Links whose host and path fit carry a value in this place. `host`: `*` for any tracking host of the network,
    `shop` for the shop's own hosts, or one domain; in `path` a * is any text. `destination`: names of what says where
    the link leads. `carries`: our click id, or the tracking id of a placement. `removes`: names that the query must not
    have."""

    host: str
    path: str
    place: Place
    parameter: str
    destination: tuple[str, ...] = ()
    carries: Literal["click", "placement"] = "click"
    removes: tuple[str, ...] = ()
    max_length: int = 255
    characters: str = "A-Za-z0-9"

    def can_carry(self, value: str) -> bool:
        """Whether the network accepts this value, unshortened."""
        return 0 < len(value) <= self.max_length and re.fullmatch(f"[{self.characters}]+", value) is not None


def rule_complaints(rule: Rule) -> list[str]:
    """What is wrong with a rule that an administrator gives, in words."""
    found = []
    if rule.host not in ("*", "shop"):
        try:
            normal_host(rule.host)
        except BadAddress as reason:
            found.append(f"host {rule.host!r}: {reason}")
    if not 1 <= len(rule.path) <= 200 or not rule.path.startswith(("/", "*")):
        found.append("path: give at most 200 characters that begin with / or *")
    if rule.place not in SETTERS:
        found.append(f"place {rule.place!r}: there are {', '.join(SETTERS)}")
    if len(rule.destination) > MAX_NAMES or len(rule.removes) > MAX_NAMES:
        found.append(f"destination, removes: give at most {MAX_NAMES} names")
    for name in (rule.parameter, *rule.destination, *rule.removes):
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            found.append(f"{name!r} is no parameter: give 1 to 64 letters, digits and the signs _ . -")
    if rule.carries not in ("click", "placement"):
        found.append("carries: there are click and placement")
    if rule.place == "before" and not rule.destination:
        found.append("place before: name the destination")
    if not 1 <= rule.max_length <= 2000:
        found.append("max length: give 1 to 2000")
    try:
        fits_letters = re.fullmatch(f"[{rule.characters}]+", TOKEN_LETTERS) is not None
    except re.error:
        fits_letters = False
    if not re.fullmatch(r"[A-Za-z0-9_.~-]{1,64}", rule.characters):
        found.append("characters: write them as in A-Za-z0-9_-")
    elif rule.carries == "click" and (not fits_letters or rule.max_length < TOKEN_LENGTH):
        found.append(
            f"a click id has {TOKEN_LENGTH} lower-case letters and digits, which this network could not carry: "
            "it would cut or refuse it, and its sales would be nobody's"
        )
    return found


class Shop(msgspec.Struct, frozen=True):
    """What is known of a shop's links. Hosts are as `normal_host` spells them."""

    domain: str | None = None
    tracking_hosts: tuple[str, ...] = ()
    click_parameter: str | None = None
    network: str | None = None
    network_hosts: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()


class Link(msgspec.Struct, frozen=True):
    """A link that is not refused. `rule`: how it carries a value; None if it goes out as it is."""

    url: str
    rule: Rule | None


@lru_cache(1024)
def path_fits(path: str, pattern: str) -> bool:
    """Whether a path is like a pattern, in which * stands for any text. Takes linear time, as a regular expression with
    several stars would not."""
    path, (first, *rest) = path.lower(), pattern.lower().split("*")
    if not rest:
        return path == first
    *between, last = rest
    at, end = len(first), len(path) - len(last)
    if end < at or not path.startswith(first) or not path.endswith(last):
        return False
    for part in between:
        at = path.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _is_of_network(host: str, shop: Shop) -> bool:
    return any(is_within(host, known) for known in (*shop.network_hosts, *shop.tracking_hosts))


def read_link(url: str, shop: Shop) -> Link:
    """Reads a shop's link. Raises BadAddress with the reason for refusing it."""
    url = clean_https(url)
    host, rest = split_https(url)
    is_tracked = _is_of_network(host, shop)
    is_own = shop.domain is not None and is_within(host, shop.domain)
    if not is_tracked and not is_own:
        raise BadAddress(_foreign(host, shop))
    rule = _rule_of(host, rest, shop, is_tracked, is_own)
    if rule is None:
        return Link(url, _own_rule(rest, shop) if is_own else None)
    for destination in _destinations(rest, rule):
        if shop.domain and not is_within(destination, shop.domain) and not _is_of_network(destination, shop):
            raise BadAddress(f"it leads to {destination}, which is not of the shop ({shop.domain})")
    return Link(url, rule)


def _foreign(host: str, shop: Shop) -> str:
    if shop.domain is None:
        return f"{host} is no tracking host of its network, and the shop has no domain"
    return f"{host} is neither of the shop ({shop.domain}) nor a tracking host of its network"


def shop_hosts(url: str, shop: Shop, tracking_hosts: Iterable[str]) -> tuple[str, ...]:
    """The hosts that a link of a shop without a domain leads to: those it names, if its own is one of the shop's
    network, else its own, unless it is one of `tracking_hosts`, those of all networks."""
    try:
        host, rest = split_https(url)
        if _is_of_network(host, shop):
            rule = _rule_of(host, rest, shop, True, False)
            return _destinations(rest, rule) if rule else ()
        return () if any(is_within(host, tracking) for tracking in tracking_hosts) else (host,)
    except BadAddress:
        return ()


def is_of_shop(host: str, shop: Shop) -> bool:
    """Whether pages of a normalised host are the shop's, and no tracking host's."""
    return shop.domain is not None and is_within(host, shop.domain) and not _is_of_network(host, shop)


def page_of(url: str, shop: Shop) -> str | None:
    """The shop's page that a link leads to, as an address that no network counts as a click; None if the link does not
    say, or the page is not on a host of the shop alone."""
    try:
        link = read_link(url, shop)
        host, rest = split_https(link.url)
        rule = link.rule
        if is_of_shop(host, shop) and rule not in shop.rules:
            without = frozenset((rule.parameter.lower(),)) if rule else frozenset[str]()
            return f"https://{host}{remove_pairs(rest, without)}"
        for text in destinations(rule.place, rest, rule.destination) if rule else ():
            # A query of a destination that is not encoded may have lost what follows its first &.
            is_cut = "?" in text and "&" in rest and rule is not None and rule.place in ("query", "before", "part")
            page = None if is_cut else _page(text)
            if page is not None:
                host, rest = split_https(page)
                return page if is_of_shop(host, shop) else None
    except BadAddress:
        pass
    return None


def _page(text: str) -> str | None:
    if host_of_destination(text) is None:
        return None
    found = _WEB.match(text := _decoded(text))
    return clean_https("https://" + (text[found.start(found.lastindex or 0) :] if found else text))


def _rule_of(host: str, rest: str, shop: Shop, is_tracked: bool, is_own: bool) -> Rule | None:
    path = rest.partition("?")[0].partition("#")[0] or "/"
    for rule in shop.rules:
        is_for_host = is_own if rule.host == "shop" else is_tracked and (rule.host == "*" or is_within(host, rule.host))
        if is_for_host and path_fits(path, rule.path) and fits(rule.place, rest, rule.parameter):
            return rule
    return None


def _own_rule(rest: str, shop: Shop) -> Rule | None:
    """A shop that counts our visitors itself. `ref` is often its own, such as an article's number: one that the link
    has stays, and the link goes out as it is."""
    if shop.click_parameter is None or (shop.click_parameter.lower() == "ref" and has_pair(rest, "ref")):
        return None
    return Rule("shop", "*", "query", shop.click_parameter)


def _destinations(rest: str, rule: Rule) -> tuple[str, ...]:
    return tuple(filter(None, map(host_of_destination, destinations(rule.place, rest, rule.destination))))


def host_of_destination(text: str) -> str | None:
    """The host of an address inside a link, encoded or not, with or without a scheme; None for a path in the shop.
    Raises BadAddress for what is no web address."""
    text = _decoded(text)
    if (found := _WEB.match(text)) is not None:
        return normal_authority((found[1] or found[2] or "").removesuffix(":80"))
    if _OTHER_SCHEME.match(text):
        raise BadAddress("it leads to no web address")
    bare = _BARE.match(text)
    if bare is None or "." not in bare[0] or bare[0].rpartition(".")[2].lower() in _FILES:
        return None
    try:
        return normal_authority(bare[0])
    except BadAddress:
        if "@" in bare[0]:
            raise
        return None


def _decoded(text: str) -> str:
    for _ in range(_MAX_DECODED):
        if not any("%" in part for part in text.split("/", 2)[:2]):
            break
        text = unquote(text)
    return _IGNORED_BY_BROWSERS.sub("", text.replace("\\", "/"))


def address(link: Link, token: str, tracking_id: str | None, *, is_person: bool) -> str:
    """Where a click's redirect leads. `token`: the click's; `tracking_id`: of its placement, for networks whose links
    carry that. Only people get a link with a tracking id: no bots, previews and prefetches. Raises ValueError for a
    value that the network cannot carry."""
    rule = link.rule
    if rule is None:
        return link.url
    host_end = len(link.url) - len(split_https(link.url)[1])
    prefix, rest = link.url[:host_end], link.url[host_end:]
    removed = {name.lower() for name in rule.removes}
    value: str | None = token
    if rule.carries == "placement":
        value = tracking_id if is_person else None
        removed |= set() if is_person else {rule.parameter.lower()}
    if removed:
        rest = remove_pairs(rest, frozenset(removed))
    if value is None:
        return prefix + rest
    if not rule.can_carry(value):
        raise ValueError(f"{rule.parameter} cannot carry {value!r}")
    return prefix + SETTERS[rule.place](rest, rule.parameter, value, rule.destination)


def normal_domain(text: str) -> str:
    """A shop's domain or a tracking host as an operator gives it: `https://www.shop.example/` is `www.shop.example`.
    Raises BadAddress."""
    text = re.sub(r"^https?://", "", text.strip(), flags=re.IGNORECASE).rstrip("/")
    return normal_host(text)


def common_domain(counts: Mapping[str, int]) -> str | None:
    """The domain of a shop by the hosts of its links and how many have each: the one with most of them, subdomains
    included; None without any host."""
    links: Counter[str] = Counter()
    for host, count in counts.items():
        labels = host.split(".")
        for start in range(len(labels) - 1):
            links[".".join(labels[start:])] += count
    candidates = {host.removeprefix("www.") if host.count(".") > 1 else host for host in counts}
    return max(candidates, key=lambda domain: (links[domain], -len(domain), domain), default=None)


def placement_name(text: str) -> str:
    """A placement, or the page on which a click was made, as the two are compared: in lower case, without slashes at
    the ends."""
    return text.strip().strip("/").lower()
