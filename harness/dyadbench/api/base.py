"""What everything else of the contract needs: the error, configurations, and the two array types."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_serializer,
)
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:  # annotations only: `dyadbench list` must wait for neither numpy nor torch
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    State = Mapping[str, NDArray[Any]]
else:

    def __getattr__(name: str) -> Any:
        if name not in ("Array", "State"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import numpy as np
        from numpy.typing import NDArray

        return NDArray[np.float32] if name == "Array" else Mapping[str, NDArray[Any]]


class DyadbenchError(Exception):
    """The request was wrong: one sentence that says what, where and what to do next. Exit code 2."""


def whole_number(name: str, value: Any, least: int) -> Any:
    """`value` as a plain int, which a record can hold, from `least`; None stays. Raises TypeError or ValueError."""
    if value is None:
        return None
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; a whole number is due") from None
    if number < least:
        raise ValueError(f"{name} is {number}; it must be at least {least}")
    return number


def names_of(what: str, names: Any) -> tuple[str, ...]:
    """`names` as a tuple. Raises TypeError for one text, which is what ("mfcc-78") without a comma is."""
    if isinstance(names, str):
        raise TypeError(f"{what} is the text {names!r}; names are due, as in ({names!r},)")
    return tuple(names)


@dataclass(frozen=True)
class AcceptedTokens:
    """What tokens a predictor can stand on: its configuration declares it (`Config.accepts`).

    The default is any tokenizer with one codebook and evenly spaced tokens.
    """

    least: int = 1  # frames per token
    most: int | None = None
    sparse: bool = False  # also tokens with positions of their own (`TokenSpec.frames_per_token` is None)
    grid: bool = False  # also several ids per place (`TokenSpec.groups` and `residual`)
    window: int | None = None  # how many tokens are encoded together: a token and those that its look-ahead reaches
    members: tuple[str, ...] = ()  # methods of the tokenizer that it calls, beyond `encode` and `decode`
    such_as: tuple[str, ...] = ()  # tokenizers that fit, for the error


class Config(BaseModel):
    """Base of every configuration: frozen, and a key it does not know is an error.

    A predictor's `sampling` names the fields that only `sample` reads: what was trained serves all their values.
    A dataset's `adjustable` names the fields that may be set under a benchmark's own name, because they add to the data
    without changing what is evaluated, or because the digest tells such data apart. `machine_paths` names the fields that may
    hold a path of this machine: in keys, what lies there takes its place; the record of a dataset leaves it out. `added` names
    options that came after records existed and whose default is what was done before: at its default such an option is
    written nowhere, so that keys and records stay valid. `budget` names the fields that count the steps of its optimisers,
    which `dyadbench run --quarter` divides by four; those of samplers and of diffusions are others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    sampling: ClassVar[frozenset[str]] = frozenset()
    adjustable: ClassVar[frozenset[str]] = frozenset()
    machine_paths: ClassVar[frozenset[str]] = frozenset()
    added: ClassVar[frozenset[str]] = frozenset()
    budget: ClassVar[frozenset[str]] = frozenset({"steps"})

    @field_validator("*", mode="wrap")
    @classmethod
    def _truth_is_no_number(cls, value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
        """Refuses true and false where a number is due, alone or in a list: pydantic would read them as 1 and 0."""
        checked = inner(value)
        before, after = ((each,) if isinstance(each, bool | int | float) else each for each in (value, checked))
        if isinstance(before, list | tuple) and isinstance(after, list | tuple):
            for one, other in zip(before, after, strict=False):
                if isinstance(one, bool) and isinstance(other, int | float) and not isinstance(other, bool):
                    raise PydanticCustomError("number_expected", "a number is expected, not true or false")
        return checked

    @model_serializer(mode="wrap")
    def _as_given(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {
            name: value
            for name, value in inner(self).items()
            if name not in self.added or getattr(self, name) != fields[name].default
        }

    @property
    def accepts(self) -> AcceptedTokens | None:
        """For a predictor on tokens: the tokens that it can stand on. dyadbench refuses a tokenizer that makes others."""
        return None
