"""What kind of device a request came from, as coarse as it can be: all that is kept of a visitor's user agent."""

from __future__ import annotations

import re
from typing import Literal

DeviceClass = Literal["mobile", "tablet", "desktop", "bot", "other"]

# The first that matches. "Mobi" tells a phone (MDN, "Browser detection using the user agent"); Android without it is a
# tablet. Bots come first, because most of them also claim to be a browser.
_SIGNS: tuple[tuple[DeviceClass, re.Pattern[str]], ...] = (
    (
        "bot",
        re.compile(
            r"bot\b|bots\b|bot[/_-]|crawl|spider|slurp|preview|facebookexternalhit|whatsapp/|headless|lighthouse"
            r"|^(curl|wget|python|go-http|java|okhttp|axios|node|libwww|apache-httpclient)\b",
            re.IGNORECASE,
        ),
    ),
    ("tablet", re.compile(r"ipad|tablet|kindle|silk/|playbook|android(?!.*mobi)", re.IGNORECASE)),
    ("mobile", re.compile(r"mobi|iphone|ipod|android", re.IGNORECASE)),
    ("desktop", re.compile(r"windows nt|macintosh|x11|cros|linux", re.IGNORECASE)),
)


def device_class(user_agent: str | None) -> DeviceClass:
    """Of a User-Agent header; `other` for none, or one that says nothing."""
    text = (user_agent or "")[:400]
    return next((name for name, signs in _SIGNS if signs.search(text)), "other")
