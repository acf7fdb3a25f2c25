"""Errors that more than one room raises, and how a configuration's fault is put into words."""

from __future__ import annotations

from pydantic import ValidationError

from dyadbench.api import DyadbenchError


class PluginError(DyadbenchError):
    """A plugin broke while it was at work; names the plugin, its version and the stage. Exit code 1."""


def first_fault(error: ValidationError) -> str:
    """The first complaint of a pydantic error as `field: what` (the rest usually follows from it)."""
    fault = error.errors()[0]
    where = ".".join(str(step) for step in fault["loc"]) or "the value"
    return f"{where}: {fault['msg'].lower()}" + (
        f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    )
