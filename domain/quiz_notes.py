"""What to tell people whose answers look unread: kindly, and in their language."""

from __future__ import annotations

from collections.abc import Mapping

from domain.explanations import language_of

GOOD_QUALITY = 0.5  # from here on nothing is said
MAX_MINOR_SHARE = 0.5  # below it, earlier answers count most
_PARTS = ("pace", "variety", "consistency", "completeness")  # the first of equals is named
_REASONS = {
    "en": {
        "pace": "The answers came faster than the questions can be read.",
        "variety": "Nearly all questions got the same answer.",
        "consistency": "Some answers contradict each other.",
        "completeness": "Many questions were left out.",
    },
    "de": {
        "pace": "Die Antworten kamen schneller, als sich die Fragen lesen lassen.",
        "variety": "Fast alle Fragen haben dieselbe Antwort bekommen.",
        "consistency": "Einige Antworten widersprechen sich.",
        "completeness": "Viele Fragen sind ausgelassen worden.",
    },
}
_FIRST = {
    "en": "This is a first impression: take the quiz again when you have a few minutes, and it gets clearer.",
    "de": "Das ist ein erster Eindruck: Mit ein paar Minuten Zeit wird das Bild beim nächsten Mal klarer.",
}
_RETAKE = {
    "en": "So your earlier answers keep counting most. You are welcome to take the quiz again at your own pace.",
    "de": "Deshalb zählen deine früheren Antworten weiter am meisten. Mach das Quiz gern noch einmal in Ruhe.",
}


def quality_note(quality: float | None, parts: Mapping[str, float], locale: str = "en") -> str | None:
    """Why answers have a low quality; None if it is good enough or unknown."""
    if quality is None or quality >= GOOD_QUALITY or not parts:
        return None
    weakest = min(_PARTS, key=lambda part: parts.get(part, 1.0))
    return _REASONS[language_of(locale)][weakest]


def note(quality: float | None, parts: Mapping[str, float], share: float | None, locale: str = "en") -> str | None:
    """The same, and what follows from it; `share` is that of the quiz in the profile after it, 1 if it is the only one:
    earlier answers that count no more than these are no better."""
    reason = quality_note(quality, parts, locale)
    if reason is None:
        return None
    follows = _FIRST if share is None or share >= MAX_MINOR_SHARE else _RETAKE
    return f"{reason} {follows[language_of(locale)]}"
