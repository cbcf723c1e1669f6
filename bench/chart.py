"""Charts as SVG, for the results."""

from __future__ import annotations

from html import escape

COLOURS = ("#1769aa", "#e07b39", "#8a8d91", "#4c9f70", "#a9cdb6")
WIDTH, LABEL, BAR, GAP = 760, 170, 13, 14


def bars(title: str, groups: list[tuple[str, list[tuple[str, float | None]]]], form: str = ",.0f") -> str:
    """Horizontal bars. Each group has a scale of its own: its longest bar is as wide as the chart. `form` is that of
    the numbers."""
    parts: list[str] = []
    y = 36
    for name, values in groups:
        most = max((value for _, value in values if value), default=1)
        for place, (label, value) in enumerate(values):
            if value is None:
                continue
            width = value / most * (WIDTH - LABEL - 70)
            first = f'<text x="8" y="{y + 10}" font-weight="bold">{escape(name)}</text>' if place == 0 else ""
            colour = COLOURS[place % len(COLOURS)]
            parts.append(
                f'{first}<text x="{LABEL - 6}" y="{y + 10}" text-anchor="end">{escape(label)}</text>'
                f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR - 2}" fill="{colour}"/>'
                f'<text x="{LABEL + width + 5:.1f}" y="{y + 10}">{value:{form}}</text>'
            )
            y += BAR
        y += GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="10">\n'
        f'<rect width="100%" height="100%" fill="white"/><text x="8" y="20" font-size="14">{escape(title)}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
