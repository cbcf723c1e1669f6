"""E-mail addresses: validation, and a canonical form for comparison."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import idna

MAX_LENGTH = 254  # RFC 5321, 4.5.3.1
MAX_LOCAL_LENGTH = 64
# No character decomposes canonically into more than four.
MAX_TYPED_LENGTH = 4 * MAX_LENGTH

# Invisible characters (Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties).
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
# Excludes what needs quotes (RFC 5322, 3.2.3), and encoded words (RFC 2047), which mail libraries decode in headers.
_LOCAL = re.compile(rf"(?!.*=\?)[^@\s\x00-\x1f\x7f()<>\[\]:;,\\\"]{{1,{MAX_LOCAL_LENGTH}}}")
# Excludes commas and brackets, with which mails would go to another mailbox.
_DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)+", re.ASCII)
_NOT_SHOWN = {"Cc", "Cf", "Cn", "Co", "Cs"}


@dataclass(frozen=True, slots=True)
class Email:
    """An address. `canonical` is the same for all its spellings, and only for comparison: mails go to `address`."""

    address: str
    canonical: str
    spellings: tuple[str, ...]
    """Spellings under which an account without a canonical form may be stored, the one as typed first."""


def parse(text: str) -> Email | None:
    """Parses an address, regardless of case, Unicode form, width, invisible characters, and the spelling of an
    international domain. None for text that is not an e-mail address."""
    if len(text) > MAX_TYPED_LENGTH:
        return None
    local, at, domain = unicodedata.normalize("NFKC", text.strip()).partition("@")
    local = _shown(_shown(local).lower())
    ascii_domain = to_ascii(domain)
    if not at or ascii_domain is None or not _LOCAL.fullmatch(local) or not _is_visible(local):
        return None
    unicode_domain = _to_unicode(ascii_domain)
    address = f"{local}@{ascii_domain if domain.isascii() else unicode_domain}"
    canonical = f"{_fold(local)}@{ascii_domain}"
    if max(len(address), len(canonical)) > MAX_LENGTH:
        return None
    typed = text.strip().lower()
    spellings = dict.fromkeys((typed, address, f"{local}@{ascii_domain}", f"{local}@{unicode_domain}", canonical))
    return Email(address, canonical, tuple(spellings))


def without_tag(canonical: str) -> str:
    """The canonical form without a sub-address: most mail servers deliver "anna+shop" to "anna"."""
    local, _, domain = canonical.rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


def to_ascii(domain: str) -> str | None:
    """The domain in ASCII and lower case (UTS #46, non-transitional); None if it is not a domain name."""
    try:
        found = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return None
    return found if _DOMAIN.fullmatch(found) else None


def _to_unicode(ascii_domain: str) -> str:
    try:
        return idna.decode(ascii_domain)
    except (idna.IDNAError, UnicodeError):
        return ascii_domain


def _shown(text: str) -> str:
    """NFKC again, as removing what was between a letter and its accent lets them compose."""
    return unicodedata.normalize("NFKC", _IGNORABLE.sub("", text))


def _is_visible(text: str) -> bool:
    return _NOT_SHOWN.isdisjoint(map(unicodedata.category, text))


def _fold(local: str) -> str:
    """Merges the two lower-case forms of sigma, as the position decides which one a capital becomes. Nothing else is
    folded: full case folding would merge ß and ss, which are two mailboxes (and two domains, UTS #46)."""
    return _shown(local.replace("ς", "σ"))
