"""Links of shops: where each network reads our click id, and which links are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.reference import NETWORK_TABLES, read
from domain.affiliate import TOKEN_LENGTH, TOKEN_LETTERS, encode_token
from domain.hosts import BadAddress, clean_https, normal_host
from domain.links import (
    Rule,
    Shop,
    address,
    common_domain,
    host_of_destination,
    page_of,
    path_fits,
    read_link,
    rule_complaints,
    shop_hosts,
)

TOKEN = encode_token(UUID("0199a0b0-0000-7000-8000-000000000001"))
NETWORKS, RULES = map(read, NETWORK_TABLES)


def shop_of(network: str | None, **more: Any) -> Shop:
    """A shop links.example of a network that is shipped."""
    rules = tuple(msgspec.convert(rule, Rule) for key, rule in RULES.items() if key.split()[0] == network)
    hosts = tuple(NETWORKS[network]["tracking_hosts"]) if network else ()
    return Shop(**{"domain": "links.example", "network": network, "network_hosts": hosts, "rules": rules, **more})


def redirect(
    url: str, network: str | None, *, is_person: bool = True, tracking_id: str | None = None, **more: Any
) -> str:
    return address(read_link(url, shop_of(network, **more)), TOKEN, tracking_id, is_person=is_person)


with (Path(__file__).parent / "links.tsv").open(encoding="utf-8") as file:
    CASES = [tuple(line.rstrip("\n").split("\t")) for line in file][1:]


@pytest.mark.parametrize(("network", "url", "expected"), CASES)
def test_each_shape_carries_the_click_where_its_network_reads_it(network: str, url: str, expected: str) -> None:
    assert redirect(url, network) == expected.replace("TOKEN", TOKEN)


@pytest.mark.parametrize(("network", "url"), [case[:2] for case in CASES])
def test_a_link_that_carries_a_click_carries_the_next_one_in_its_place(network: str, url: str) -> None:
    once = redirect(url, network)
    assert redirect(once, network) == once


def test_the_cases_are_of_every_network_and_rule_that_is_shipped() -> None:
    reached = {(network, read_link(url, shop_of(network)).rule) for network, url, _ in CASES}
    shipped = {(key.split()[0], msgspec.convert(rule, Rule)) for key, rule in RULES.items()}
    same_shape = {("tradetracker", rule) for _, rule in shipped if rule.place == "part" and rule.host == "*"}
    assert shipped - reached - same_shape == {
        ("amazon", rule) for network, rule in shipped if network == "amazon"
    }  # which carries no clicks


def test_direct_linking_on_a_tracking_host_keeps_its_destination() -> None:
    url = "https://go.tracker.example/?tt=1_12_3_old&r=%2Fp"
    found = redirect(url, "tradetracker", tracking_hosts=("tracker.example",))
    assert found == f"https://go.tracker.example/?tt=1_12_3_{TOKEN}&r=%2Fp"


# Amazon

ITEM = "https://www.amazon.co.uk/dp/B000000001"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{ITEM}?tag=feed-21&th=1&ascsubtag=visitor", f"{ITEM}?th=1&tag=ours-21"),
        (f"{ITEM}?ascSubTag=visitor", f"{ITEM}?tag=ours-21"),
        (ITEM, f"{ITEM}?tag=ours-21"),
        (f"{ITEM}/ref=nosim?TAG=a-21&tag=b-21#reviews", f"{ITEM}/ref=nosim?tag=ours-21#reviews"),
    ],
)
def test_a_person_gets_amazons_tag_of_the_placement_and_never_an_id_of_the_click(url: str, expected: str) -> None:
    assert redirect(url, "amazon", tracking_id="ours-21") == expected


def test_bots_get_no_tag() -> None:
    url = f"{ITEM}?tag=feed-21&th=1&ascsubtag=visitor"
    assert redirect(url, "amazon", tracking_id="ours-21", is_person=False) == f"{ITEM}?th=1"
    assert redirect(f"{ITEM}?tag=feed-21", "amazon", is_person=False) == ITEM


def test_without_a_tracking_id_the_feeds_tag_stays() -> None:
    assert redirect(f"{ITEM}?tag=feed-21&ascsubtag=x", "amazon") == f"{ITEM}?tag=feed-21"


# A shop's own parameter


@pytest.mark.parametrize("network", ["direct", None, "awin"])
def test_a_shop_gets_a_parameter_only_if_its_row_names_one(network: str | None) -> None:
    url = "https://links.example/p?a=1&partner=old#f"
    assert redirect(url, network) == url
    found = redirect(url, network, click_parameter="partner")
    assert found == f"https://links.example/p?a=1&partner={TOKEN}#f"


def test_a_reference_of_the_shop_is_never_overwritten() -> None:
    url = "https://links.example/item.php?REF=AB-1234"
    assert redirect(url, "direct", click_parameter="ref") == url
    assert (
        redirect("https://links.example/p", "direct", click_parameter="ref") == f"https://links.example/p?ref={TOKEN}"
    )


# Properties

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
pairs = st.lists(st.tuples(st.text("abcxyz_-", min_size=1, max_size=6), texts), max_size=6)
CARRIERS = [
    (key.split()[0], rule["parameter"], NETWORKS[key.split()[0]]["tracking_hosts"][0])
    for key, rule in RULES.items()
    if rule["place"] == "query" and rule["carries"] == "click"
]


@pytest.mark.parametrize(("network", "parameter", "host"), CARRIERS)
@given(before=pairs, old=st.lists(texts, max_size=2), after=pairs, fragment=st.text("ab?&=#/", max_size=5))
def test_a_query_has_the_click_once_and_all_else_to_the_letter(
    network: str, parameter: str, host: str, before: Any, old: list[str], after: Any, fragment: str
) -> None:
    own = [(parameter.swapcase() if index else parameter, text) for index, text in enumerate(old)]
    others = [pair for pair in [*before, *after] if pair[0].lower() != parameter.lower()]
    query = urlencode([*before, *own, *after])
    url = f"https://{host}/a;b/c?{query}" + (f"#{fragment}" if fragment else "")
    # Names of destinations are read, and may be refused: tested below.
    shop = msgspec.structs.replace(shop_of(network), domain=None)
    found = urlsplit(address(read_link(url, shop), TOKEN, None, is_person=True))
    assert (found.path, found.fragment) == ("/a;b/c", fragment)
    assert found.query == "&".join(filter(None, (urlencode(others), f"{parameter}={TOKEN}")))


@given(st.integers(1, 300), st.text("abcXYZ019_-.~ ü&", min_size=1, max_size=300))
def test_a_value_that_a_network_cannot_carry_is_an_error_and_never_cut(max_length: int, value: str) -> None:
    rule = Rule("*", "*", "query", "sub", carries="placement", max_length=max_length, characters="A-Za-z0-9_-")
    link = read_link("https://awin1.com/", shop_of("awin", rules=(rule,)))
    if len(value) <= max_length and re.fullmatch(r"[A-Za-z0-9_-]+", value):
        assert address(link, TOKEN, value, is_person=True) == f"https://awin1.com/?sub={value}"
    else:
        with pytest.raises(ValueError, match="cannot carry"):
            address(link, TOKEN, value, is_person=True)


@given(st.integers(1, 300), st.sets(st.sampled_from([*TOKEN_LETTERS, *"ABC089_-.~"]), min_size=1))
def test_a_rule_that_cannot_carry_a_click_is_refused(max_length: int, letters: set[str]) -> None:
    characters = "".join(sorted(letters - {"-"})) + ("-" if "-" in letters else "")
    rule = Rule("*", "*", "query", "sub", max_length=max_length, characters=characters)
    carries = max_length >= TOKEN_LENGTH and set(TOKEN_LETTERS) <= letters
    assert (rule_complaints(rule) == []) == carries


def test_every_shipped_rule_is_one_that_an_administrator_could_give() -> None:
    assert [key for key, rule in RULES.items() if rule_complaints(msgspec.convert(rule, Rule))] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "a b"}, {"host": "1.2.3.4"}, {"path": ""}, {"path": "links"}, {"place": "header"}, {"parameter": ""},
        {"parameter": "a=b"}, {"parameter": "a&b"}, {"carries": "visitor"}, {"place": "before"}, {"max_length": 0},
        {"characters": "z-a"}, {"characters": "]"}, {"characters": "a-z\\d"}, {"removes": ("a b",)},
    ],
)  # fmt: skip
def test_wrong_rules_are_refused(wrong: dict[str, Any]) -> None:
    given_rule = {"host": "*", "path": "*", "place": "query", "parameter": "sub", **wrong}
    assert rule_complaints(Rule(**given_rule))


# Hosts

NAMES = [
    "shop.example",
    "a-b.shop.example",
    "müller.example",
    "книги.example",
    "日本ひらカタa.example",
    "straße.example",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_host_is_one_in_every_spelling(name: str) -> None:
    ascii_name = normal_host(name)
    assert ascii_name.isascii()
    assert normal_host(ascii_name) == normal_host(name.upper().replace("SS", "ß")) == normal_host(ascii_name.upper())


@pytest.mark.parametrize(
    "name",
    [
        "", "localhost", "shop.example.", ".shop.example", "shop..example", "1.2.3.4", "0x7f.1", "2130706433", "[::1]",
        "shop.example\\", "sh op.example", "shop.example\r\n", "sh\top.example", "d20-hоsts.example", "аpple.example",
        "xn--a.example", "xn--d20-hsts-kzg.example", "pαypal.example", "a/b.example", "a%2eb.example", "-a.example",
        "a" * 64 + ".example", "a." * 130 + "example", "ex／ample.example", "shop.example:80",
    ],
)  # fmt: skip
def test_hosts_that_no_shop_has_are_refused(name: str) -> None:
    with pytest.raises(BadAddress):
        normal_host(name)


@pytest.mark.parametrize(
    "url",
    [
        "https://links.example/p", "https://www.links.example/p/2", "https://DE.LINKS.EXAMPLE/p", "HTTPS://links.example",
        "https://links.example:443/p", "https://links.example?x", " https://links.example/p ",
    ],
)  # fmt: skip
def test_links_of_the_shop_go_out(url: str) -> None:
    assert read_link(url, shop_of("direct")).rule is None


@pytest.mark.parametrize(
    "url",
    [
        "https://foreign.example/p", "https://notlinks.example/p", "https://links.example.foreign.example/p",
        "https://links.example@foreign.example/p", "https://links.example:443@foreign.example/p", "//foreign.example/p",
        "https://foreign.example\\@links.example/p", "https://foreign.example\\.links.example/p",
        "https:\\\\links.example/p", "https:/links.example/p", "https:///links.example/p", "/p", "",
        "https://lіnks.example/p", "https://links.example./p", "https://links.example:8443/p", "https://links.example:/p",
        "https://1.2.3.4/p", "https://[::1]/p", "https://2130706433/", "http://links.example/p", "javascript:alert(1)",
        "https://links.example/p\r\nSet-Cookie: a=b", "https://links.example/\tp", "https://links.example%2eforeign.example/",
        "https://foreign.example#@links.example/", "https://foreign.example?@links.example/", "https://example/p",
        "https://www.awin1.com/pclick.php?p=1", "https://links。example.foreign.example/", "https://links.exampleⓔ/",
    ],
)  # fmt: skip
def test_links_to_other_hosts_are_refused(url: str) -> None:
    with pytest.raises(BadAddress):
        read_link(url, shop_of("direct"))


def test_a_shop_with_an_international_domain_works_in_either_spelling() -> None:
    shop = shop_of("direct", domain=normal_host("müller.example"))
    ours = "https://xn--mller-kva.example"
    assert read_link("https://müller.example/p?q=ü", shop).url == f"{ours}/p?q=%C3%BC"
    assert read_link("https://www.MÜLLER.example:443/p", shop).url == "https://www.xn--mller-kva.example:443/p"
    assert read_link(f"{ours}/p", shop).url == f"{ours}/p"
    with pytest.raises(BadAddress):
        read_link("https://muller.example/p", shop)


def test_pictures_may_have_ports_and_hosts_in_any_letters() -> None:
    assert (
        clean_https("http://bücher.example:8080/ä.jpg", upgrade=True) == "https://xn--bcher-kva.example:8080/%C3%A4.jpg"
    )


# Destinations


@given(st.sampled_from(["https://links.example/p?a=1#b", "http://www.links.example", "HTTPS://LINKS.EXAMPLE/"]),
       st.integers(0, 3))  # fmt: skip
def test_a_destination_is_read_however_often_it_is_encoded(url: str, times: int) -> None:
    text = url
    for _ in range(times):
        text = quote(text, safe="")
    assert host_of_destination(text) in ("links.example", "www.links.example")


@pytest.mark.parametrize("text", ["", "/p/1", "%2Fp%2F1", "p/1", "index.html", "40", "?a=b.c", "#x.y", "a_b"])
def test_a_path_is_in_the_shop(text: str) -> None:
    assert host_of_destination(text) is None


HOSTILE = [
    "https://evil.example/", "//evil.example/", "\\\\evil.example", "/\\evil.example", "https:evil.example",
    "https:\\\\evil.example", "https:/evil.example", "evil.example/p", "https://links.example@evil.example/",
    "links.example@evil.example/", "https://links.example.evil.example/", "\thttps://evil.example",
    "java\nscript:alert(1)",
    "data:text/html,x", "https://evil.example\\@links.example/", "https://1.2.3.4/", "https://links.example:8443/",
    "h\nttps://evil.example/",
]  # fmt: skip


@pytest.mark.parametrize("times", [0, 1, 2])
@pytest.mark.parametrize("evil", HOSTILE)
@pytest.mark.parametrize(
    ("network", "shape"),
    [
        ("awin", "https://www.awin1.com/cread.php?awinmid=1&ued={}"),
        ("awin", "https://www.awin1.com/cread.php?ued=https%3A%2F%2Flinks.example&u%65d={}"),
        ("awin", "https://www.awin1.com/cread.php?awinmid=1&p={}"),
        ("tradedoubler", "https://clk.tradedoubler.com/click?p=1&url={}"),
        ("tradedoubler", "https://clk.tradedoubler.com/click?p(1)url({})"),
        ("partnerize", "https://prf.hn/click/camref:1/destination:{}"),
        ("tradetracker", "https://www.links.example/tradetracker/?tt=1_2_3_&r={}"),
        ("shareasale", "https://www.shareasale.com/r.cfm?b=1&urllink={}"),
    ],
)
def test_a_tracking_link_leads_to_the_shop_alone(network: str, shape: str, evil: str, times: int) -> None:
    for _ in range(times):
        evil = quote(evil, safe="")
    if times == 0 and ("partnerize" in network or "#" in evil or "\n" in evil or "\t" in evil):
        evil = quote(evil, safe="")
    with pytest.raises(BadAddress):
        read_link(shape.format(evil), shop_of(network))


def test_the_destination_in_a_path_is_the_shops() -> None:
    for host in ("evil.example", "links.example@evil.example", "links.example.evil.example"):
        for text in (f"https://{host}/p", quote(f"https://{host}/p", safe="")):
            with pytest.raises(BadAddress):
                read_link(f"https://www.anrdoezrs.net/links/1/type/dlg/{text}", shop_of("cj"))
            with pytest.raises(BadAddress):
                read_link(f"https://prf.hn/click/camref:1/destination:{text}", shop_of("partnerize"))


# The domain of a shop that has none


def test_the_domain_is_that_of_most_links_with_its_subdomains() -> None:
    assert common_domain({}) is None
    assert common_domain({"www.shop.example": 3, "other.example": 2}) == "shop.example"
    assert common_domain({"shop.example": 1, "de.shop.example": 2, "www.other.example": 2}) == "shop.example"
    assert common_domain({"de.shop.example": 2, "www.shop.example": 1}) == "shop.example"
    assert common_domain({"www.example": 1}) == "www.example"


def test_a_link_says_its_shop_where_it_can_be_read() -> None:
    hosts = [host for network in NETWORKS.values() for host in network["tracking_hosts"]]
    shop = shop_of("awin", domain=None)
    for url, found in (
        ("https://www.shop.example/p", ("www.shop.example",)),
        ("https://www.awin1.com/cread.php?ued=https%3A%2F%2Fwww.shop.example%2F", ("www.shop.example",)),
        ("https://www.awin1.com/pclick.php?p=1&a=2&m=3", ()),
        ("https://prf.hn/click/camref:1/destination:https://www.shop.example", ()),
        ("https://1.2.3.4/", ()),
    ):
        assert shop_hosts(url, shop, hosts) == found


def test_percent_signs_that_encode_nothing_stay() -> None:
    url = "https://www.awin1.com/a?x=100%&y=%zz&z=caf%E9"
    assert redirect(url, "awin") == f"{url}&clickref={TOKEN}"
    assert parse_qsl(urlsplit(redirect(url, "awin")).query, encoding="latin-1")[2][1] == unquote("caf%E9", "latin-1")


AWIN = "https://www.awin1.com/cread.php?awinmid=1&clickref=a&ued="


@pytest.mark.parametrize(
    ("network", "url", "page"),
    [
        (None, "https://links.example/a?x=1&y=2", "https://links.example/a?x=1&y=2"),
        (None, "https://www.links.example/a%20b#c", "https://www.links.example/a%20b#c"),
        ("awin", "https://links.example/a", "https://links.example/a"),
        ("awin", AWIN + "https%3A%2F%2Fwww.links.example%2Fa%3Fx%3D1%26y%3D2%2520c", "https://www.links.example/a?x=1&y=2%20c"),
        ("awin", AWIN + "https%253A%252F%252Flinks.example%252Fa", "https://links.example/a"),
        ("awin", AWIN + "http%3A%2F%2Flinks.example%2Fa", "https://links.example/a"),
        ("awin", AWIN + "%2F%2Flinks.example%2Fa", "https://links.example/a"),
        ("awin", AWIN + "links.example%2Fa", "https://links.example/a"),
        ("awin", AWIN + "https://links.example/a", "https://links.example/a"),
        ("awin", AWIN + "https://links.example/a?x=1&y=2", None),  # whose is y?
        ("awin", AWIN + "%2Fa", None),
        ("awin", AWIN + "https%3A%2F%2Fwww.awin1.com%2Fcread.php", None),
        ("awin", AWIN + "https%3A%2F%2Fother.example%2Fa", None),
        ("awin", "https://www.awin1.com/pclick.php?p=1&a=2&m=3", None),
        ("cj", "https://www.anrdoezrs.net/links/1/sid/a/https://links.example/a?x=1&y=2", "https://links.example/a?x=1&y=2"),
        ("tradedoubler", "https://clk.tradedoubler.com/click?p(1)a(2)url(https%3A%2F%2Flinks.example%2Fa)", "https://links.example/a"),
        ("amazon", "https://www.amazon.co.uk/dp/B000000001?tag=a-21", None),
        ("ebay", "https://www.ebay.co.uk/itm/1?mkevt=1&campid=2", None),
    ],
)  # fmt: skip
def test_the_page_behind_a_link_is_read_without_its_network(network: str | None, url: str, page: str | None) -> None:
    assert page_of(url, shop_of(network)) == page


@pytest.mark.parametrize(("network", "url"), [case[:2] for case in CASES])
def test_a_page_is_on_no_tracking_host(network: str, url: str) -> None:
    page = page_of(url, shop_of(network))
    assert page is None or urlsplit(page).hostname in ("links.example", "www.links.example")


def test_a_page_has_no_click_of_the_shops_own_count() -> None:
    shop = shop_of(None, click_parameter="Visit")
    assert page_of("https://links.example/a?b=1&visit=2", shop) == "https://links.example/a?b=1"


def test_a_page_of_a_shop_is_not_on_its_tracking_host() -> None:
    shop = shop_of(None, tracking_hosts=("go.links.example",))
    assert page_of("https://go.links.example/a", shop) is None
    assert page_of("https://links.example/a", shop_of(None, domain=None)) is None


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*", "", True), ("/c/*", "/c/", True),
        ("/c/*", "/d", False), ("/C/*", "/c/x", True), ("/c", "/c", True),
        ("/c", "/cc", False),
        ("*a*b", "xaxb", True), ("*a*b", "ab", True), ("*a*b", "ba", False), ("/a*a", "/a", False),
        ("/a*ba*ba", "/aba", False), ("/a*ba*ba", "/ababa", True), ("*.html*", "/x.html", True),
    ],
)  # fmt: skip
def test_a_star_in_the_path_of_a_rule_is_any_text(pattern: str, path: str, fits: bool) -> None:
    assert path_fits(path, pattern) is fits


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_paths_fit_as_a_regular_expression_says(pattern: str, path: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), path) is not None
    assert path_fits(path, pattern) is expected


def test_many_stars_take_no_longer() -> None:
    assert not path_fits("-" * 2000, "*-" * 100 + "x")
