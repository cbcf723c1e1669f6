"""What a user agent says of who sent it: a class of device, as coarse as possible, and whether that is a program.

Programs are recognised by the patterns of crawler-user-agents (https://github.com/monperrus/crawler-user-agents), and
by the words that most of those it does not know use of themselves.
"""

from __future__ import annotations

import functools
import re
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


def _pattern(words: str, *, of_scripts: bool) -> re.Pattern[str]:
    known = (
        one["pattern"]
        for one in CRAWLER_USER_AGENTS_DATA
        if _TAGS_OF_SCRIPTS.isdisjoint(one.get("tags", ())) is not of_scripts
    )
    return re.compile("|".join((words, *known)))


_PROGRAMS: tuple[tuple[Program, re.Pattern[str]], ...] = (
    ("bot", _pattern(_WORDS_OF_BOTS, of_scripts=False)),
    ("script", _pattern(_WORDS_OF_SCRIPTS, of_scripts=True)),
)
# The first match wins. "Mobi" indicates a phone (MDN, "Browser detection using the user agent"); Android without it is
# a tablet.
_SIGNS: tuple[tuple[DeviceClass, re.Pattern[str]], ...] = (
    ("tablet", re.compile(r"ipad|tablet|kindle|silk/|playbook|android(?!.*mobi)", re.IGNORECASE)),
    ("mobile", re.compile(r"mobi|iphone|ipod|android", re.IGNORECASE)),
    ("desktop", re.compile(r"windows nt|macintosh|x11|cros|linux", re.IGNORECASE)),
)
_MAX_LENGTH = 400
_MAX_CACHED = 4096  # a search of all patterns takes half a millisecond


def program(user_agent: str | None) -> Program | None:
    """`bot`: it fetches links for indexing, monitoring or previews. `script`: an HTTP library or an automated browser,
    which does what a person wrote. None: a browser, an app, or not known."""
    return _program((user_agent or "")[:_MAX_LENGTH])


@functools.lru_cache(_MAX_CACHED)
def _program(text: str) -> Program | None:
    return next((kind for kind, pattern in _PROGRAMS if pattern.search(text)), None)


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
