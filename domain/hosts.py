"""Host names of shops and networks: one spelling for each, and which of them are refused."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote

import idna

_AUTHORITY = re.compile(r"[^/?#]*")
_PORT = re.compile(r":(\d{0,5})\Z")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_URL_CHARACTERS = "".join(map(chr, range(0x21, 0x7F))).translate({ord(c): None for c in '"<>\\^`{|}'})
_ASCII_HOST = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])\Z"
)
# Scripts that one writing system mixes. Any other mixture in a label imitates a name (Unicode Technical Standard 39,
# "Highly Restrictive").
_MIXTURES = (
    frozenset(("LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA")),
    frozenset(("LATIN", "CJK", "BOPOMOFO")),
    frozenset(("LATIN", "CJK", "HANGUL")),
)


class BadAddress(ValueError):
    """An address that a link must not have; the message is the reason."""


@lru_cache(4096)
def normal_host(text: str) -> str:
    """The ASCII spelling in lower case: `Müller.example` and `xn--mller-kva.example` are one. Raises BadAddress for IP
    addresses, single labels, a final dot, and labels that mix scripts, as look-alikes do."""
    try:
        host = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode()
        labels = [idna.decode(label) if label.startswith("xn--") else label for label in host.split(".")]
    except UnicodeError:
        raise BadAddress("no valid host name") from None
    if not _ASCII_HOST.match(host):
        raise BadAddress("no valid host name")
    for label in labels:
        if not label.isascii() and not _is_of_one_script(label):
            raise BadAddress("a host name that mixes scripts")
    return host


def _is_of_one_script(label: str) -> bool:
    scripts = {unicodedata.name(letter, "?").split()[0] for letter in label if letter.isalpha()}
    return len(scripts) == 1 or any(scripts <= mixture for mixture in _MIXTURES)


def normal_authority(authority: str, *, any_port: bool = False) -> str:
    """The host of `host` or `host:443`, normalised. Raises BadAddress for credentials, another port (unless
    `any_port`), and what `normal_host` refuses."""
    if "@" in authority:
        raise BadAddress("credentials in the address")
    if (port := _PORT.search(authority)) is not None:
        if port[1] != "443" and not (any_port and port[1]):
            raise BadAddress("a port in the address")
        authority = authority[: port.start()]
    return normal_host(authority)


def clean_https(url: str, *, upgrade: bool = False) -> str:
    """An https URL in ASCII: the host by IDNA, other letters and spaces percent-encoded, the rest as it is. `upgrade`:
    http becomes https. Raises BadAddress for another scheme, control characters, and what `normal_authority` refuses
    but for ports."""
    text = url.strip()
    if _CONTROL.search(text):
        raise BadAddress("control characters")
    if upgrade and text[:7].lower() == "http://":
        text = "https://" + text[7:]
        end = _end_of_authority(text)
        text = text[:end].removesuffix(":80") + text[end:]
    if text[:8].lower() != "https://":
        raise BadAddress("not an https address")
    end = _end_of_authority(text)
    authority = text[8:end]
    host = normal_authority(authority, any_port=True)
    if not authority.isascii():
        port = _PORT.search(authority)
        authority = host + (port[0] if port else "")
    return f"https://{authority}{quote(text[end:], safe=_URL_CHARACTERS)}"


def split_https(url: str) -> tuple[str, str]:
    """The host of a URL of `clean_https`, normalised, and what follows the authority. Raises BadAddress for a port
    other than 443."""
    end = _end_of_authority(url)
    return normal_authority(url[8:end]), url[end:]


def _end_of_authority(url: str) -> int:
    found = _AUTHORITY.match(url, 8)
    assert found is not None
    return found.end()


def is_within(host: str, domain: str) -> bool:
    """Whether a normalised host is this domain or a subdomain of it."""
    return host == domain or host.endswith("." + domain)
