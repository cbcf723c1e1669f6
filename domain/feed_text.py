"""The text of a feed's values: entities are decoded once, mark-up is removed, names are compared and made slugs.

Pure. Two names are one if they differ by case, accents, apostrophes, full stops or spaces only (`name_key`). A slug is
for people to read and need not tell names apart, so code that stores one checks that it is free (`spare_slug`).
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache
from hashlib import sha256

from anyascii import anyascii

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_CDATA = re.compile(r"<!\[CDATA\[|\]\]>")
_MARKUP = re.compile(r"<!--|</?([a-zA-Z][a-zA-Z0-9]*)(?:[\s/][^<>]*)?>|<![a-zA-Z][^<>]*>|<\?[^<>]*>")
_INLINE = {
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "em", "font", "i", "ins", "mark", "q", "s", "small", "span",
    "strong", "sub", "sup", "u", "wbr",
}  # fmt: skip
# Only names of HTML: "Shirt <Large>" is a text.
_HTML = _INLINE | {
    "address", "area", "article", "aside", "audio", "base", "blockquote", "body", "br", "button", "canvas", "caption",
    "center", "col", "colgroup", "data", "datalist", "dd", "del", "details", "dfn", "dialog", "div", "dl", "dt",
    "embed", "fieldset", "figcaption", "figure", "footer", "form", "frame", "frameset", "h1", "h2", "h3", "h4", "h5",
    "h6", "head", "header", "hgroup", "hr", "html", "iframe", "img", "input", "kbd", "label", "legend", "li", "link",
    "main", "map", "menu", "meta", "meter", "nav", "noscript", "object", "ol", "optgroup", "option", "output", "p",
    "param", "picture", "pre", "progress", "samp", "script", "section", "select", "slot", "source", "strike", "style",
    "summary", "table", "tbody", "td", "template", "textarea", "tfoot", "th", "thead", "time", "title", "tr", "track",
    "tt", "ul", "var", "video",
}  # fmt: skip
_APOSTROPHE = re.compile("['\u2018\u2019\u02bc`\u00b4]")
_WORD = re.compile("[a-z0-9]+")
_SIGNS = {"&": "and", "+": "plus", "#": "sharp"}


def decode_entities(text: str) -> str:
    """Named and numbered entities with their semicolon, once. Without one, `&copy` may be part of `&copyright=`."""
    return _ENTITY.sub(lambda match: html.unescape(match[0]), text) if "&" in text else text


def remove_markup(text: str) -> str:
    """The text of HTML; comments, scripts and styles are left out. A < that opens no element of HTML is text.

    Takes linear time: a hostile line could make a parser of HTML take a minute.
    """
    if "<" not in text:
        return text
    text = _CDATA.sub("", text) if "<![CDATA[" in text else text
    parts: list[str] = []
    lower = text.lower() if len(text) == len(text.lower()) else text
    kept = at = 0
    while match := _MARKUP.search(text, at):
        name = (match[1] or "").lower()
        at = match.end()
        if name and name not in _HTML:
            continue
        gap = "" if name in _INLINE else " "
        parts += [text[kept : match.start()], gap]
        if match[0] == "<!--":
            end = text.find("-->", at)
            at = len(text) if end < 0 else end + 3
        elif name in ("script", "style") and not match[0].startswith("</"):
            end = lower.find("</" + name, at)
            at = len(text) if end < 0 else end
        kept = at
    return "".join([*parts, text[kept:]])


def _without_accents(text: str) -> str:
    """Without the accents of Latin and Greek letters. In other scripts marks make another letter (й, が)."""
    if text.isascii():
        return text
    kept: list[str] = []
    is_plain = False
    for character in unicodedata.normalize("NFKD", text):
        if not unicodedata.combining(character):
            is_plain = character < "\u0400"
            kept.append(character)
        elif not is_plain:
            kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


@lru_cache(maxsize=65536)  # the brands, categories and shops of a feed repeat
def name_key(name: str) -> str:
    """What two spellings of one name share: the letters and digits, & + and #; all signs if there is nothing else."""
    text = _without_accents(_APOSTROPHE.sub("", name).casefold())
    key = "".join(c for c in text if c in _SIGNS or unicodedata.category(c)[0] in "LNM")
    return key or "".join(name.split()).casefold()


@lru_cache(maxsize=16384)
def slugify(text: str) -> str:
    """Kebab-case in Latin letters and digits: accents and apostrophes are removed (Levi's: levis), other scripts are
    transliterated. A text without letters gets a hash."""
    plain = _without_accents(_APOSTROPHE.sub("", text))
    words = _WORD.findall((plain if plain.isascii() else anyascii(plain)).lower())
    if words or not any(not c.isspace() for c in text):
        return "-".join(words)
    signs = [_SIGNS[c] for c in text if c in _SIGNS]
    return "-".join(signs) or _hash_of(text)


def spare_slug(slug: str, name: str) -> str:
    """The slug of a name whose own is another name's: the same in every database."""
    return f"{slug}-{_hash_of(name_key(name))}"


def _hash_of(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:6]


@lru_cache(maxsize=65536)
def tag_of(text: str) -> str:
    """Kebab-case in the script of the text; accents are removed where only ASCII letters remain. "" without letters."""
    words = "".join(
        c if unicodedata.category(c)[0] in "LNM" else " "
        for c in unicodedata.normalize("NFKC", _APOSTROPHE.sub("", text)).lower()
    ).split()
    plain = [_without_accents(word) for word in words]
    return "-".join(p if p.isascii() else word for word, p in zip(words, plain, strict=True))
