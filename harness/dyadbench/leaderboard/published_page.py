"""The page of published numbers: what papers print, source by source, beside no number of ours."""

from __future__ import annotations

from collections.abc import Sequence

from dyadbench.leaderboard.published import PublishedNumber
from dyadbench.leaderboard.text import WIDTH, chunks, escape, grid


def published_page(published: Sequence[PublishedNumber]) -> str:
    """Every published number that was transcribed, source by source."""
    parts = [
        "# Published numbers\n",
        "As printed. They were measured on other data or by other rules than the tables here.\n",
    ]
    sources: dict[tuple[str, str], list[PublishedNumber]] = {}
    for number in published:
        sources.setdefault((number.source, number.warning), []).append(number)
    for (source, warning), numbers in sources.items():
        parts.append(f"## {escape(source)}\n")
        if warning:
            parts.append(f"**Read with care.** {escape(warning)}\n")
        parts.append(published_grid(numbers, list(dict.fromkeys(number.column for number in numbers))))
    return "\n".join(parts)


def published_grid(published: Sequence[PublishedNumber], columns: Sequence[str]) -> str:
    """Printed methods by printed metrics; every distinct convention is a numbered note below."""
    groups: dict[tuple[str, str, str], dict[str, PublishedNumber]] = {}
    for number in published:
        groups.setdefault((number.method, number.split, number.source), {})[number.column] = number
    notes: list[str] = []
    parts = []
    for names in chunks([c for c in columns if any(c in by_column for by_column in groups.values())], WIDTH - 3):
        rows = []
        for (method, split, source), by_column in groups.items():
            values = []
            for printed in (by_column.get(name) for name in names):
                if printed is not None and printed.note not in notes:
                    notes.append(printed.note)
                values.append(
                    ""
                    if printed is None
                    else f"{escape(str(printed.value))} <sup>{notes.index(printed.note) + 1}</sup>"
                )
            if any(values):
                rows.append([escape(method), escape(split), *values, escape(source)])
        parts.append(grid(["method", "split", *names, "source"], rows))
    listed = "".join(f"{i}. {escape(note)}\n" for i, note in enumerate(notes, 1))
    return "\n".join(parts) + "\nScale and convention:\n\n" + listed
