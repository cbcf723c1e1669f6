"""The class of device a request came from, as coarse as possible: nothing else of a visitor's user agent is stored."""

from __future__ import annotations

import re
from typing import Literal

DeviceClass = Literal["mobile", "tablet", "desktop", "bot", "other"]

# Search engines and link previews; most of them also claim to be a browser. Cubot makes phones.
_CRAWLERS = re.compile(
    r"(?<!cu)bots?\b|bot[/_-]|crawl|spider|slurp|preview|scrap|facebookexternalhit|meta-external|whatsapp/"
    r"|embedly|iframely|vkshare|mastodon/|imgproxy|mediapartners|google-",
    re.IGNORECASE,
)
# The first match wins. "Mobi" indicates a phone (MDN, "Browser detection using the user agent"); Android without it is
# a tablet.
_SIGNS: tuple[tuple[DeviceClass, re.Pattern[str]], ...] = (
    ("bot", _CRAWLERS),
    (
        "bot",
        re.compile(
            r"headless|lighthouse|^(curl|wget|python|go-http|java|okhttp|axios|node|libwww|apache-httpclient)\b",
            re.IGNORECASE,
        ),
    ),
    ("tablet", re.compile(r"ipad|tablet|kindle|silk/|playbook|android(?!.*mobi)", re.IGNORECASE)),
    ("mobile", re.compile(r"mobi|iphone|ipod|android", re.IGNORECASE)),
    ("desktop", re.compile(r"windows nt|macintosh|x11|cros|linux", re.IGNORECASE)),
)
_MAX_LENGTH = 400


def is_crawler(user_agent: str | None) -> bool:
    """Whether it fetches links for indexing or previews, without a person. Scripts do not count: a person runs them."""
    return _CRAWLERS.search((user_agent or "")[:_MAX_LENGTH]) is not None


def device_class(user_agent: str | None) -> DeviceClass:
    """The class of a User-Agent header; `other` if it is missing or not recognised."""
    text = (user_agent or "")[:_MAX_LENGTH]
    return next((name for name, signs in _SIGNS if signs.search(text)), "other")
