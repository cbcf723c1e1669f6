"""What /metrics says, as numbers."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

Values = Mapping[str, float]


def parse(text: str) -> dict[str, float]:
    """Samples by `name{label="value",…}`, labels in alphabetical order."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def scrape(http: httpx.AsyncClient, url: str = "/metrics", **headers: str) -> dict[str, float]:
    answer = await http.get(url, headers=headers)
    assert answer.status_code == 200, answer.text
    return parse(answer.text)


def risen(before: Values, after: Values) -> dict[str, float]:
    """By how much each value is higher than before."""
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}
