"""Scores in plain language, for people."""

from __future__ import annotations

from domain.locales import fallbacks

_NAMES = {
    "en": {
        "adventurous": "sense of adventure",
        "intellectual": "curiosity",
        "practical": "practical sense",
        "creative": "creativity",
        "social": "sociability",
    },
    "de": {
        "adventurous": "Abenteuerlust",
        "intellectual": "Wissensdurst",
        "practical": "Sinn fürs Praktische",
        "creative": "Kreativität",
        "social": "Geselligkeit",
    },
}
_SENTENCES = {
    "en": (
        "In the top {share} % for {name}, give or take {error}.",
        "In the lower {share} % for {name}, give or take {error}.",
        "About average for {name}, give or take {error}.",
    ),
    "de": (
        "Unter den oberen {share} % bei {name}, plus/minus {error}.",
        "Unter den unteren {share} % bei {name}, plus/minus {error}.",
        "Etwa im Mittelfeld bei {name}, plus/minus {error}.",
    ),
}


def language_of(locale: str) -> str:
    """The language of a locale in which there are texts, else English."""
    _, language = fallbacks(locale)
    return language if language in _SENTENCES else "en"


def explain(trait: str, percentile: float, error: float, locale: str = "en") -> str:
    """A sentence on a trait's score, in the language of the locale or in English. A score whose error reaches the
    median is about average."""
    language = language_of(locale)
    high, low, average = _SENTENCES[language]
    sentence = high if percentile > 50 else low
    if abs(percentile - 50) <= error:
        sentence = average
    share = max(1, round(100 - percentile if percentile > 50 else percentile))
    return sentence.format(share=share, name=_NAMES[language].get(trait, trait), error=max(1, round(error)))
