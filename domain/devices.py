"""What a user agent says of who sent it: a class of device, as coarse as possible, and whether that is a program.

Programs are recognised by the patterns of crawler-user-agents (https://github.com/monperrus/crawler-user-agents), and
by the words that most of those it does not know use of themselves.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

DeviceClass = Literal["mobile", "tablet", "desktop", "bot", "other"]
Program = Literal["bot", "script"]

# Most crawlers also claim to be a browser. Cubot makes phones.
_WORDS_OF_BOTS = (
    r"(?i:(?<!cu)bots?\b|bot[/_-]|crawl|spider|slurp|preview|scrap|facebookexternalhit|meta-external|whatsapp/|embedly"
    r"|iframely|vkshare|mastodon/|imgproxy|mediapartners|google-|^pinterest/)"
)
_WORDS_OF_SCRIPTS = (
    r"(?i:headless|lighthouse|^(?:curl|wget|python|go-http|java|okhttp|axios|node|libwww|apache-httpclient)\b)"
)
_TAGS_OF_SCRIPTS = frozenset(("http-library", "browser-automation"))


_LITERAL = re.compile(r"(?:[^\\^$.|?*+()\[\]{}]|\\[^a-zA-Z0-9])+")
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class _Signs:
    """What is looked for: words, and of the known programs those whose patterns are plain texts, and the others. One
    pattern of all 1,500 would try each of them at each character."""

    words: re.Pattern[str]
    texts: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]

    def are_in(self, text: str) -> bool:
        return (
            self.words.search(text) is not None
            or any(known in text for known in self.texts)
            or any(pattern.search(text) is not None for pattern in self.patterns)
        )


def _signs(words: str, *, of_scripts: bool) -> _Signs:
    known = [
        one["pattern"]
        for one in CRAWLER_USER_AGENTS_DATA
        if _TAGS_OF_SCRIPTS.isdisjoint(one.get("tags", ())) is not of_scripts
    ]
    has_words = re.compile(words)
    texts = {_ESCAPE.sub(r"\1", pattern) for pattern in known if _LITERAL.fullmatch(pattern)}
    others = tuple(re.compile(pattern) for pattern in known if not _LITERAL.fullmatch(pattern))
    # What has the words wherever it stands is found by them.
    return _Signs(has_words, tuple(sorted(text for text in texts if not has_words.search(f"cu{text}x"))), others)


_PROGRAMS: tuple[tuple[Program, _Signs], ...] = (
    ("bot", _signs(_WORDS_OF_BOTS, of_scripts=False)),
    ("script", _signs(_WORDS_OF_SCRIPTS, of_scripts=True)),
)
# The first match wins. "Mobi" indicates a phone (MDN, "Browser detection using the user agent"); Android without it is
# a tablet.
_SIGNS: tuple[tuple[DeviceClass, re.Pattern[str]], ...] = (
    ("tablet", re.compile(r"ipad|tablet|kindle|silk/|playbook|android(?!.*mobi)", re.IGNORECASE)),
    ("mobile", re.compile(r"mobi|iphone|ipod|android", re.IGNORECASE)),
    ("desktop", re.compile(r"windows nt|macintosh|x11|cros|linux", re.IGNORECASE)),
)
_MAX_LENGTH = 400
_MAX_CACHED = 4096  # what is not cached takes 0.1 to 0.4 ms, hostile texts included: make bench-devices


def program(user_agent: str | None) -> Program | None:
    """`bot`: it fetches links for indexing, monitoring or previews. `script`: an HTTP library or an automated browser,
    which does what a person wrote. None: a browser, an app, or not known."""
    return _program((user_agent or "")[:_MAX_LENGTH])


@functools.lru_cache(_MAX_CACHED)
def _program(text: str) -> Program | None:
    return next((kind for kind, signs in _PROGRAMS if signs.are_in(text)), None)


def device_class(user_agent: str | None) -> DeviceClass:
    """The class of a User-Agent header; `other` if it is missing or not recognised."""
    if program(user_agent) is not None:
        return "bot"
    text = (user_agent or "")[:_MAX_LENGTH]
    return next((name for name, signs in _SIGNS if signs.search(text)), "other")


def class_of(reported: str | None, user_agent: str | None) -> DeviceClass:
    """What a client says of its device, if that is a class (or `phone`); otherwise that of its User-Agent header."""
    match (reported or "").strip().lower():
        case "mobile" | "phone":
            return "mobile"
        case "tablet":
            return "tablet"
        case "desktop":
            return "desktop"
        case _:
            return device_class(user_agent)
