"""The page of published numbers: what papers print, source by source, beside no number of ours."""

from __future__ import annotations

from collections.abc import Sequence

from dyadbench.leaderboard.published import PublishedNumber, by_method, by_source, columns_of
from dyadbench.leaderboard.text import WIDTH, chunks, escape, grid


def published_page(published: Sequence[PublishedNumber]) -> str:
    """Every published number that was transcribed, source by source."""
    parts = [
        "# Published numbers\n",
        "As printed. They were measured on other data or by other rules than the tables here.\n",
    ]
    for (source, warning), numbers in by_source(published).items():
        parts.append(f"## {escape(source)}\n")
        if warning:
            parts.append(f"**Read with care.** {escape(warning)}\n")
        parts.append(published_grid(numbers, columns_of(numbers)))
    return "\n".join(parts)


def published_grid(published: Sequence[PublishedNumber], columns: Sequence[str]) -> str:
    """Printed methods by printed metrics; every distinct convention is a numbered note below."""
    groups = by_method(published)
    notes: dict[str, int] = {}
    parts = []
    printed_columns = columns_of(published)
    for names in chunks([c for c in columns if c in printed_columns], WIDTH - 3):
        rows = []
        for (method, split, source), by_column in groups.items():
            values = [
                f"{escape(str(printed.value))} <sup>{notes.setdefault(printed.note, len(notes) + 1)}</sup>"
                if (printed := by_column.get(name))
                else ""
                for name in names
            ]
            if any(values):
                rows.append([escape(method), escape(split), *values, escape(source)])
        parts.append(grid(["method", "split", *names, "source"], rows))
    listed = "".join(f"{i}. {escape(note)}\n" for note, i in notes.items())
    return "\n".join(parts) + "\nScale and convention:\n\n" + listed
