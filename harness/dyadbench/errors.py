"""Errors that more than one room raises, and how a wrong name or a configuration's fault is put into words."""

from __future__ import annotations

import difflib
import os
import traceback
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dyadbench.api import DyadbenchError

FAULTS_SHOWN = 3
MOST_NAMES = 40
STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode categories: controls, formats, halves of characters, line ends
LIBRARIES = ("site-packages", "dist-packages", f"{os.sep}harness{os.sep}dyadbench{os.sep}")  # nobody's own code


# What a field takes, by pydantic's name of the fault; its other faults say it well themselves.
EXPECTED = {
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type", "iterable_type"), "a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"), "a table"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "finite_number": "a finite number",
    "string_type": "text",
    "path_type": "a path",
}
INPUT_SHOWN = 60  # characters of what was given instead


class PluginError(DyadbenchError):
    """A plugin broke while it was at work; names the plugin, its version and the stage. Exit code 1."""


class Interrupted(BaseException):
    """Ctrl-C. Not a KeyboardInterrupt, so that one which a plugin raises is told apart from the user's."""


def one_line(text: object, most: int | None = None) -> str:
    """Text from outside on one line, without characters that steer terminals, turn the writing direction or cannot be
    encoded; cut to `most` characters."""
    visible = "".join(" " if unicodedata.category(c) in STEERING else c for c in str(text))
    flat = " ".join(visible.split())
    return flat if most is None or len(flat) <= most else flat[: most - 3] + "..."


def demand_name(name: str, what: str) -> None:
    """Raises DyadbenchError where a name from outside is empty or not UTF-8, for then no key and no record could hold it."""
    if not isinstance(name, str):
        raise DyadbenchError(f"{what} is {one_line(repr(name))}; text is due")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DyadbenchError(
            f"{what} {one_line(name)!r} holds bytes that are not UTF-8 text; give it another name"
        ) from None
    if not name.strip():
        raise DyadbenchError(f"{what} is empty; give it a name")


def demand_row_name(name: str, what: str) -> None:
    """As `demand_name`, and where it looks like another name but is not that one: both would be rows of a table."""
    demand_name(name, what)
    if (plain := one_line(name)) != name:
        raise DyadbenchError(f"{what}, {name!r}, holds blanks or characters that nobody sees; write {plain!r}")


def nearest(name: str, choices: Iterable[str]) -> str:
    """What to write instead of `name`: the names like it, or else what there is, at most MOST_NAMES of them."""
    names = list(dict.fromkeys(choices))
    near = difflib.get_close_matches(name, names, n=3)
    # A dotted name is most often meant by its last part: "layers" for "predictor.layers".
    near = near or [each for each in names if each.rpartition(".")[2] == name.rpartition(".")[2]]
    if near:
        return f"did you mean {' or '.join(near)}?"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"there are: {', '.join(names[:MOST_NAMES])}{more}" if names else "there are none"


def place_of(error: BaseException) -> str:
    """`file.py, line 12`: where in the author's code it happened, or where at all if none of it was."""
    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not any(part in frame.filename for part in LIBRARIES)]
    last = (own or frames)[-1:]
    return f"{Path(last[0].filename).name}, line {last[0].lineno}" if last else "an unknown place"


def first_fault(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first complaints of a pydantic error as `field: what`; with `model`, an unknown field gets the nearest one."""
    errors = error.errors(include_url=False)
    # A list whose only member is at fault is too short as well, which says nothing.
    deeper = {fault["loc"][:1] for fault in errors if len(fault["loc"]) > 1}
    faults = [_sentence(fault, model) for fault in errors if fault["type"] != "too_short" or fault["loc"] not in deeper]
    rest = len(faults) - FAULTS_SHOWN
    return "; ".join(faults[:FAULTS_SHOWN]) + (f" ({rest} more)" if rest > 0 else "")


def _sentence(fault: Any, model: type[BaseModel] | None) -> str:
    where = ".".join(str(step) for step in fault["loc"]) or "the value"
    fields = model.model_fields if model is not None and len(fault["loc"]) == 1 else None
    if fault["type"] == "extra_forbidden" and fields is not None:
        if not fields:
            return f"there is no field {where!r}, because nothing can be set"
        return f"there is no field {where!r}; {nearest(where, fields)}"
    if fault["type"] == "missing":
        return f"{where} is missing"
    if (due := EXPECTED.get(fault["type"])) is not None:
        torn = due == "a list" and str(fault["input"]).startswith("[")  # came as text: the shell took its quotes
        advice = """; write 'FIELD=["a","b"]', with both kinds of quotes""" if torn else ""
        return f"{where}: {due} is expected, not {one_line(repr(fault['input']), INPUT_SHOWN)}{advice}"
    return f"{where}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"


def number_of(count: int, noun: str) -> str:
    """`1 clip`, `2 clips`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
