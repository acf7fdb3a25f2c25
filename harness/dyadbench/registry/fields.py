"""The fields of a configuration as a reader wants them: type, bounds, default, presets, and what each means."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticUndefined

from dyadbench.api import Config

BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@dataclass(frozen=True)
class Field:
    name: str
    type: str
    default: Any  # None where there is none, and then `required`
    required: bool
    meaning: str
    presets: Mapping[str, Any] = field(default_factory=dict)  # preset -> value, where it differs from the default


def fields_of(config: type[Config], presets: Mapping[str, Mapping[str, Any]]) -> list[Field]:
    """Every field of `config`, in its order."""
    meanings = _meanings(config)
    fields = []
    for name, info in config.model_fields.items():
        required = info.is_required()
        default = None if required else info.get_default(call_default_factory=True)
        bounds = [
            f"{sign} {getattr(each, bound):g}"
            for each in info.metadata
            for bound, sign in BOUNDS.items()
            if getattr(each, bound, None) is not None
        ]
        differing = {preset: values[name] for preset, values in presets.items() if name in values}
        fields.append(
            Field(
                name=name,
                type=", ".join([_type_text(info.annotation), *bounds]),
                default=None if default is PydanticUndefined else default,
                required=required,
                meaning=info.description or meanings.get(name, ""),
                presets={preset: value for preset, value in differing.items() if value != default},
            )
        )
    return fields


def _type_text(annotation: Any) -> str:
    """`Literal["a", "b"]` -> `a | b`, `tuple[int, ...]` as it is, classes by their names."""
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(str(each) for each in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " | ".join(_type_text(each) for each in get_args(annotation))
    if annotation is type(None):
        return "none"
    if origin is None and isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def _meanings(config: type[Config]) -> dict[str, str]:
    """Field -> the comment on its lines, or the text below it, in the source of the class and those it inherits from."""
    meanings: dict[str, str] = {}
    for base in reversed(config.__mro__):
        if not issubclass(base, Config) or base is Config:
            continue
        try:
            source = textwrap.dedent(inspect.getsource(base))
            body = ast.parse(source).body[0]
            comments = {
                token.start[0]: token.string.lstrip("# ")
                for token in tokenize.generate_tokens(io.StringIO(source).readline)
                if token.type == tokenize.COMMENT and not token.string.startswith(("# fmt:", "# type:", "# noqa"))
            }
        except (OSError, TypeError, SyntaxError, tokenize.TokenError):
            continue  # made at run time: there is no source
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for place, statement in enumerate(statements):
            if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
                continue
            lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
            sentences = [comments[line] for line in lines if line in comments]
            after = statements[place + 1] if place + 1 < len(statements) else None
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                sentences.append(" ".join(str(after.value.value).split()))
            if sentences:
                meanings[statement.target.id] = " ".join(sentences)
    return meanings
