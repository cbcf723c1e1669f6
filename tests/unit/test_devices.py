"""User agents as they are sent, and the class that is kept of them."""

from __future__ import annotations

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from domain.devices import device_class, program

_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) {_WEBKIT} Version/17.6 Mobile/15E148", "mobile"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36", "mobile"),
        ("Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0", "mobile"),
        (f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {_WEBKIT} Version/16.6 Mobile/15E148", "tablet"),
        ("Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 Chrome/130.0 Safari/537.36", "tablet"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36", "desktop"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Version/17.6 Safari/605.1.15", "desktop"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "desktop"),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36", "desktop"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
        ("Mozilla/5.0 (Linux; Android 6.0.1) Chrome/130.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)", "bot"),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "bot"),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "bot"),
        ("WhatsApp/2.24.20 A", "bot"),
        ("WhatsApp/2.24.20.89 A", "bot"),
        ("TelegramBot (like TwitterBot)", "bot"),
        ("Twitterbot/1.0", "bot"),
        ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "bot"),
        ("LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)", "bot"),
        ("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com", "bot"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) {_WEBKIT} Safari/605.1.15 (Applebot/0.1)", "bot"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bot"),
        ("meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)", "bot"),
        ("Mozilla/5.0 (compatible; Iframely/1.3.1; +https://iframely.com/docs/about)", "bot"),
        ("Mastodon/4.2.10 (http.rb/5.1.1; +https://mastodon.example/)", "bot"),
        ("Mozilla/5.0 (compatible; vkShare; +http://vk.com/dev/Share)", "bot"),
        ("Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) Chrome/130.0 Mobile Safari/537.36", "mobile"),
        ("curl/8.5.0", "bot"),
        ("python-requests/2.32", "bot"),
        ("python-httpx/0.28.1", "bot"),
        ("a browser", "other"),
        ("", "other"),
        (None, "other"),
        ("\x00\udcff" * 300, "other"),
    ],
)  # fmt: skip
def test_the_class_of_a_device(agent: str | None, kind: str) -> None:
    assert device_class(agent) == kind


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "bot"),
        ("WhatsApp/2.24.20.89 A", "bot"),
        ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "bot"),
        ("Viber/13.3.0.17 (Windows 10)", "bot"),
        ("SnapURLPreview/1.0", "bot"),
        ("kakaotalk-scrap/1.0; +https://devtalk.kakao.com", "bot"),
        ("Pinterest/0.2 (+https://www.pinterest.com/bot.html)", "bot"),
        ("Mozilla/5.0 (Linux; Android 6.0.1) Chrome/130.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)", "bot"),
        ("Mozilla/5.0 AppleWebKit/537.36 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "bot"),
        ("curl/8.5.0", "script"),
        ("python-httpx/0.28.1", "script"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/130.0.0.0 Safari/537.36", "script"),
        ("Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) Chrome/130.0 Mobile Safari/537.36", None),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) {_WEBKIT} Mobile/15E148 Instagram 340.0", None),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) Chrome/130.0 Mobile [FBAN/FB4A;FBAV/480.0]", None),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) {_WEBKIT} Mobile/15E148 [Pinterest/iOS]", None),
        ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_bots_and_scripts_are_told_from_people(agent: str | None, kind: str | None) -> None:
    assert program(agent) == kind


def test_every_agent_that_the_list_knows_is_a_program() -> None:
    agents = [agent for known in CRAWLER_USER_AGENTS_DATA for agent in known.get("instances", ())]
    assert len(agents) > 1000
    assert [agent for agent in agents if program(agent) is None] == []
