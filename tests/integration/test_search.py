"""Search: every product is found by its own name, whatever its signs, case, accents and script; and the operators."""

from __future__ import annotations

import random
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.client import Client
from tests.conftest import Shop

ROOT = Path(__file__).resolve().parents[2]
SEARCH = """
query ($search: String, $first: Int, $after: String, $last: Int, $before: String, $orderBy: ProductOrder!) {
  products(search: $search, first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
    nodes { name } pageInfo { endCursor hasNextPage startCursor hasPreviousPage }
  }
}
"""
UPDATE = (
    "mutation ($input: UpdateProductInput!) { updateProduct(input: $input) { product { id } userErrors { code } } }"
)
ADD = """
insert into public.products (name, price_minor, currency, category_id, retailer_id, external_id, affiliate_url)
select name, 1000, 'GBP', (select id from public.categories where slug = 'camping'),
  (select id from public.retailers where slug = 'corner-shop'), 'search ' || n, 'https://corner.example/' || n
from unnest($1::text[]) with ordinality as given (name, n)
"""


async def add(owner: asyncpg.Connection[Any], *names: str) -> None:
    await owner.execute("delete from public.products where external_id like 'search %'")
    await owner.execute(ADD, list(names))


async def found(client: Client, search: str, order: str = "RELEVANCE", **arguments: Any) -> list[str]:
    page = await client.ask(SEARCH, search=search, orderBy=order, **{"first": 20, **arguments})
    return [node["name"] for node in page["products"]["nodes"]]


NAMES = [
    *("AC/DC Live", "24/7", "1/2", "40W/60W Bulb", "T-Rex/Raptor Set", "/home Doormat"),
    *("Headphones 3.5mm", "Node.js Mug", "Amazon.com Gift Card", "Vol. 2.1", "V1.2.3 Firmware Plush"),
    *("ada@mail.example Mug", "Party Game for 2-4 Players", "Ages 6-9", "Size 10-12 Socks", "+44 Phone"),
    *("Sleeping Bag -20", "It", "The Who", "Pikachu ピカチュウ ぬいぐるみ", "هدية جميلة", "Größe Straße Poster"),
    *("🎁 Gift Box", "Ｆｕｌｌｗｉｄｔｈ Toy", "Levi's Jeans", "Mug -Best", '"Best" Mug', "!!!", "🎁"),
    *("Ёлка", "½ Pint Glass", "Ведьмак 3: Дикая Охота"),
    *("Ørsted Æbler", "Łódź Świeca", "İstanbul Poster", "Ὀδυσσεύς", "C++ in a Nutshell", "R.E.M. (Live)"),
]  # fmt: skip


def variants(name: str) -> set[str]:
    """How people type a name that they see."""
    decomposed = unicodedata.normalize("NFD", name)
    blanks = "".join(" " if unicodedata.category(sign)[0] == "P" else sign for sign in name)
    return {
        name,
        name.upper(),
        name.lower(),
        decomposed,
        "".join(sign for sign in decomposed if unicodedata.category(sign) != "Mn"),
        name.replace("'", "’").replace("-", "‑"),
        f"  {name}  ",
        *([blanks] if blanks.strip() else []),
    }


async def test_every_product_is_found_by_its_name(shop: Shop) -> None:
    await add(shop.owner, *NAMES)
    for name in NAMES:
        assert (await found(shop.client(), name))[0] == name
        for variant in variants(name):
            assert name in await found(shop.client(), variant), variant


async def test_a_new_name_finds_a_product_and_the_old_one_does_not(shop: Shop) -> None:
    await add(shop.owner, "Node.js Mug")
    administrator = shop.client(shop.token(await _person(shop), app_metadata={"role": "admin"}))
    product = await shop.client().product("Node.js Mug")
    await administrator.do(UPDATE, input={"id": product["id"], "name": "Größe 24/7"})
    assert await found(shop.client(), "grosse 24 7") == ["Größe 24/7"]
    assert await found(shop.client(), "Node.js Mug") == []


async def _person(shop: Shop) -> Any:
    return await shop.owner.fetchval("insert into public.profiles (is_anonymous) values (false) returning id")


SCRIPTS = {
    "Latin": "abcdefghijklmnopqrstuvwxyzàáâãäåæçéêíñóöøßœšžłđþıABCDEFGHIJKLMNOPQRSTUVWXYZÉÖÜŁØ",
    "Cyrillic": "абвгдеёжзийклмнопрстуфхцчшщъыьэюяїєґАБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЭЮЯ",
    "Greek": "αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΆΈ",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويىةءأإآؤئ\u064e\u064f\u0650\u0651",
    "Japanese": "あいうえおかきくけこがぎぐげごぱぴぷぺぽアイウエオガギグゲゴパピプペポーッ一二三四贈物箱茶花",
    "Hangul": "가나다라마바사아자차카타파하선물상자꽃",
    "Thai": "กขคงจฉชซดตถทธนบปผฝพฟมยรลวสหอะาำิีึืุูเแโใไ่้๊๋",
}
SIGNS = [
    " ",
    " ",
    " ",
    "-",
    "/",
    ".",
    ", ",
    "'",
    "’",
    " & ",
    "+",
    "(",
    ") ",
    '"',
    " -",
    "!",
    "#",
    "×",
    "🎁",
    " 2",
    "3",
    "½",
    "%",
]


def generated_name(chance: random.Random) -> str:
    letters = SCRIPTS[chance.choice(list(SCRIPTS))]
    first = [sign for sign in letters if unicodedata.category(sign) != "Mn"]
    words = [
        chance.choice(first) + "".join(chance.choices(letters, k=chance.randint(0, 8)))
        for _ in range(chance.randint(1, 6))
    ]
    return "".join(word + chance.choice(SIGNS) for word in words).strip() or "x"


async def test_two_thousand_generated_names_find_their_products_on_the_first_page(shop: Shop) -> None:
    chance = random.Random(2024)
    names = list(dict.fromkeys(generated_name(chance) for _ in range(2_000)))
    await add(shop.owner, *names)
    await shop.owner.execute("vacuum analyze public.products")  # else each search may read the whole table
    typed = [(name, variant) for name in names for variant in variants(name)]
    missing = await shop.owner.fetch(
        """
        select name, variant from unnest($1::text[], $2::text[]) as typed (name, variant)
        where not exists (
          select from (
            select p.name as found
            from (select private.search_query(variant) as query offset 0) q
            join public.products p on p.search @@ q.query
            where p.is_active order by private.search_rank(p.search, q.query) desc, p.id desc limit 20
          ) first_page where found = typed.name)
        """,
        [name for name, _ in typed],
        [variant for _, variant in typed],
    )
    assert [tuple(row) for row in missing] == []


async def test_corrections_are_looked_up_by_index_before_there_are_statistics(shop: Shop) -> None:
    chance = random.Random(2024)
    await add(shop.owner, *{generated_name(chance) for _ in range(1_000)})
    async with shop.owner.transaction():
        await shop.owner.execute("select private.search_query('qwxzyk jqvzxw')")
        scans = await shop.owner.fetchrow(
            "select seq_scan, idx_scan from pg_stat_xact_user_tables where relname = 'search_variants'"
        )
    assert scans is not None
    assert scans["seq_scan"] == 0
    assert scans["idx_scan"] > 0


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Café-Stop Cap", ["cafe", "café", "CAFÉ"]),
        ("Pâté Knife", ["pate"]),
        ("Jalapeño Kit", ["jalapeno", "jalapeño"]),
        ("Köln Print", ["koln", "koeln", "köln"]),
        ("Koeln Print", ["köln", "koeln"]),
        ("Straße Poster", ["strasse", "straße"]),
        ("Naive Art Set", ["naïve"]),
        ("Århus Map", ["arhus", "aarhus", "Århus"]),
        ("Smørrebrød Board", ["smorrebrod", "smoerrebroed", "smørrebrød"]),
        ("Wi-Fi Lamp", ["wifi", "wi-fi", "wi fi"]),
        ("WiFi Radio", ["wi-fi"]),
        ("AC/DC Live", ["acdc", "ac dc"]),
        ("Ёлка Декор", ["елка", "ЁЛКА"]),
        ("Ελληνικός Καφές", ["ελληνικος", "ΚΑΦΕΣ"]),
        ("مُحَمَّد", ["محمد"]),
    ],
)
async def test_accents_are_typed_or_not(shop: Shop, name: str, typed: list[str]) -> None:
    await add(shop.owner, name, "Something Else")
    for text in typed:
        for form in ("NFC", "NFD"):
            assert await found(shop.client(), unicodedata.normalize(form, text)) == [name], text


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("chocolate -hot", {"Chocolate Bar"}),
        ("chocolate −hot", {"Chocolate Bar"}),
        ('chocolate -"hot chocolate"', {"Chocolate Bar"}),
        ("choc", {"Hot Chocolate Flakes", "Chocolate Bar"}),
        ('"gift card"', {"Gift Card Holder"}),
        ("“gift card”", {"Gift Card Holder"}),
        ('"card for a gift"', {"Card for a Gift"}),
        ('"gift card" -holder', set()),
        ("gift card hol", {"Gift Card Holder"}),
        ("lamp -wi-fi", set()),
        ("chocolate -bar", {"Hot Chocolate Flakes"}),
        ("wi-fi", {"Wi-Fi Lamp"}),
        ("lamp -2", set()),
        ("-hot", set()),
        ('a "lamp', {"Wi-Fi Lamp"}),
        *((signs, set()) for signs in ('"', "-", "!(&|:*", "''", "\\", '""', '-""', "- -", "%", "<->")),
    ],
)
async def test_operators(shop: Shop, search: str, names: set[str]) -> None:
    await add(shop.owner, "Hot Chocolate Flakes", "Chocolate Bar", "Gift Card Holder", "Card for a Gift", "Wi-Fi Lamp")
    assert set(await found(shop.client(), search)) == names


async def test_an_exact_name_comes_first_though_others_match_better(shop: Shop) -> None:
    await add(shop.owner, "Who", "The Who Who Who", "The Who", "Who The Who")
    assert (await found(shop.client(), "the who"))[0] == "The Who"


async def test_names_are_ordered_without_regard_to_case_and_accents(shop: Shop) -> None:
    in_order = ["apple", "Apple pie", "banana", "date", "Éclair", "Zebra", "яблоко"]
    await add(shop.owner, *(f"{name} ordered" for name in reversed(in_order)))
    expected = [f"{name} ordered" for name in in_order]
    assert await found(shop.client(), "ordered", "NAME") == expected
    for step, cursor, end, more in (
        ("first", "after", "endCursor", "hasNextPage"),
        ("last", "before", "startCursor", "hasPreviousPage"),
    ):
        names: list[str] = []
        place: str | None = None
        while True:
            page = (await shop.client().ask(SEARCH, search="ordered", orderBy="NAME", **{step: 2, cursor: place}))[
                "products"
            ]
            nodes = [node["name"] for node in page["nodes"]]
            names = [*names, *nodes] if step == "first" else [*nodes, *names]
            place = page["pageInfo"][end]
            if not page["pageInfo"][more]:
                break
        assert names == expected


async def test_names_that_differ_in_case_alone_keep_an_order(shop: Shop) -> None:
    await add(shop.owner, *["same ordered", "Same ordered", "SAME ordered", "sàme ordered"] * 3)
    listed: list[str] = []
    place = None
    for _ in range(6):
        page = (await shop.client().ask(SEARCH, search="ordered", orderBy="NAME", first=2, after=place))["products"]
        listed += [node["name"] for node in page["nodes"]]
        place = page["pageInfo"]["endCursor"]
    assert listed == [name for name in ("SAME ordered", "Same ordered", "same ordered", "sàme ordered") for _ in "123"]


def _is_known(sign: str) -> bool:
    return unicodedata.ucd_3_2_0.category(sign) != "Cn"


async def test_letters_and_digits_of_every_script_are_distinguished_from_signs(owner: asyncpg.Connection[Any]) -> None:
    """Against Python's tables; of signs that Unicode 3.2 had already, for databases differ in the version they know."""
    signs = [chr(code) for code in range(1, 0x10000) if not 0xD800 <= code <= 0xDFFF and _is_known(chr(code))]
    signs = [sign for sign in signs if unicodedata.category(sign) not in ("Co", "Cn", "Mn", "Me", "Cf", "Lm", "Sk")]
    rows = await owner.fetch(
        "select sign, private.search_normal('a' || sign || 'b') as normal from unnest($1::text[]) sign", signs
    )
    wrong = []
    for sign, normal in rows:
        decomposed = unicodedata.normalize("NFKD", sign)
        letters = [part for part in decomposed if unicodedata.category(part)[0] in "LNM"]
        if (" " not in normal and normal != "ab") != bool(letters) and len(decomposed) == 1:
            wrong.append((hex(ord(sign)), unicodedata.name(sign, ""), normal))
    assert wrong == []


async def test_case_is_folded_as_unicode_says(owner: asyncpg.Connection[Any]) -> None:
    cased = [chr(code) for code in range(sys.maxunicode) if _is_known(chr(code)) and chr(code).lower() != chr(code)]
    cased = [sign for sign in cased if ord(sign) < 0x10000 and not 0xD800 <= ord(sign) <= 0xDFFF]
    rows = await owner.fetch(
        "select u as upper, l as lower from unnest($1::text[], $2::text[]) as cased (u, l)"
        " where private.search_fold(u) <> private.search_fold(l)",
        cased,
        [sign.lower() for sign in cased],
    )
    assert [tuple(row) for row in rows] == []


@pytest.mark.parametrize(
    ("description", "beginning"),
    [
        ("short", "short"),
        ("x" * 2000, "x" * 2000),
        ("é" * 2000, "é" * 2000),
        # A word that ends there is whole; one that goes beyond is left out.
        ("word " * 399 + "ends. later", "word " * 399 + "ends. "),
        ("word " * 399 + "longer later", "word " * 399),
        # A run without a blank.
        ("茶" * 3000, "茶" * 2000),
        ("a " * 950 + "茶" * 3000, "a " * 950 + "茶" * 100),
    ],
)
async def test_the_beginning_of_a_description_is_its_first_2000_characters_in_whole_words(
    owner: asyncpg.Connection[Any], description: str, beginning: str
) -> None:
    assert await owner.fetchval("select private.search_beginning($1)", description) == beginning


async def test_a_product_is_found_by_the_beginning_of_its_description_alone(shop: Shop) -> None:
    await add(shop.owner, "Long Read")
    description = "seashell " + "and so on " * 200 + "limpetlike"
    await shop.owner.execute("update public.products set description = $1 where name = 'Long Read'", description)
    browser = await shop.anonymous()
    assert await found(browser, "seashell") == ["Long Read"]
    assert await found(browser, "limpetlike") == []
    # Neither is the rest offered as a correction.
    assert await shop.owner.fetchval("select count(*) from private.search_words where word = 'seashell'") == 1
    assert await shop.owner.fetchval("select count(*) from private.search_words where word = 'limpetlike'") == 0


@pytest.mark.parametrize(
    ("search", "is_answered"),
    [("\ufdfa" * 44, True), ("\ufdfa" * 45, False), ("\ufdfa" * 200, False), ("한" * 200, True), ("x" * 201, False)],
    ids=["792", "810", "3600", "600", "too long as typed"],
)
async def test_a_search_is_bounded_after_its_characters_are_decomposed(
    shop: Shop, search: str, is_answered: bool
) -> None:
    """U+FDFA is 18 characters under NFKD, a syllable of Hangul three."""
    body = (await shop.client().post(SEARCH, search=search, orderBy="RELEVANCE", first=1)).json()
    assert ("errors" not in body) is is_answered
    if not is_answered:
        (error,) = body["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT", error
        assert error["message"] == "A search has at most 200 characters."


def _functions(path: Path) -> dict[str, str]:
    """The functions of a migration, by name."""
    text = path.read_text()
    return {
        match[1]: match[0]
        for match in re.finditer(
            r"^create or replace function private\.(\w+)\(.*?(?:^\$\$;\n|^return .*?;\n|^end;\n)",
            text,
            re.DOTALL | re.MULTILINE,
        )
    }


async def test_faster_search_columns_are_those_that_are_stored(owner: asyncpg.Connection[Any]) -> None:
    """As functions of the schema `earlier`, computed by the migration that stored them."""
    migrations = ROOT / "sql" / "migrations"
    replaced = _functions(migrations / "20261130100000_search_speed.sql").keys()
    assert replaced == {"search_normal", "search_unmarked", "search_vector"}
    assert _functions(migrations / "20261130190000_search_of_descriptions.sql").keys() == {"search_vector"}
    assert _functions(migrations / "20261130200000_search_of_long_descriptions.sql").keys() == {
        "search_beginning", "product_search", "search_vector",
    }  # fmt: skip
    await owner.execute("create schema earlier")
    for name, function in _functions(migrations / "20261129170000_search.sql").items():
        if name == "add_search_words":  # which stores words, and computes nothing
            continue
        await owner.execute(function.replace("private.", "earlier."))
    chance = random.Random(16)
    signs = " ,;.'’&/+-_()!?%\"\t\n:*|<>=#@^~`[]{}$\\"
    words = [
        *("the", "running", "1e5", "12e3x", "0x1f", "1e", "e5", "3d", "2x4", "x", "mugs", "wi-fi", "AC/DC", "a.b.c"),
        *("www.shop.example", "ada@mail.example", "http://a.example/b?c=d", "&amp;", "<b>", "-7", "1.5", "1,000"),
        *("größe", "ørsted", "чай", "お茶", "½", "a" * 260, "b" * 2100, "no", "NOT", "C++", "--", "''", "\\'", "i"),
        *("o'neill", "v1.2.3", "€5", "it’s", "café", "–", "„Tür“", "Ålborg", "ærø", "naïve", "2é5", "5€", "straße"),
    ]  # fmt: skip
    texts = [
        "".join(
            chance.choice(words) if chance.random() < 0.6 else chance.choice(signs) * chance.randint(1, 3)
            for _ in range(chance.randint(0, 30))
        )
        for _ in range(1500)
    ]
    # As long as descriptions are, in languages with a few signs of their own.
    latin = ["größe", "Tür", "it’s", "café", "–", "straße", "the", "mugs", "3d", "1.5", "running", "Ålborg", "œuf"]
    texts += [" ".join(chance.choices(latin, k=chance.randint(200, 900))) for _ in range(20)]
    signed = ["don’t", "–", "“quoted”", "mugs…", "£5", "•", "12\u00a0cm", "a—b", "running", "3d", "1e5", "12e3x", "‘’"]
    texts += [" ".join(chance.choices(signed, k=chance.randint(1, 300))) for _ in range(50)]
    scripts = ["чай", "ЧАЙНИК", "お茶", "the", "running", "μέλι", "größe", "1e5", "“tea”", "чай-ник"]
    texts += [" ".join(chance.choices(scripts, k=chance.randint(1, 300))) for _ in range(50)]
    texts += ["".join(chr(chance.randint(1, 127)) for _ in range(chance.randint(0, 60))) for _ in range(1500)]
    differing = await owner.fetch(
        """
        select t from unnest($1::text[]) t
        where private.search_normal(t) <> earlier.search_normal(t)
          or private.search_name(t) <> earlier.search_name(t)
          or private.product_search(t, t, t) <> earlier.product_search(t, t, private.search_beginning(t))
        """,
        texts,
    )
    assert [row["t"] for row in differing] == []
