"""Turns arrays of any number type into float32 or float64. All arrays from outside pass through here.

numba and torch know fewer number types than people's files hold: half precision (autocast gives it), bfloat16, the other
byte order, long double. They are converted here, to the values of `.astype(float32)`; float64 stays float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = float(np.finfo(np.float32).max)


def floats(value: Any, name: str = "the array") -> NDArray[Any]:
    """float32 or float64 in this machine's byte order, of a numpy array, a tensor on any device, or nested lists.

    float64 of either byte order stays float64; every other number becomes float32. Arrays of these types are
    not copied. Raises ValueError for text, objects, complex numbers and lists of unequal length.
    """
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        value = value.detach().cpu()
        value = value.float().numpy() if value.dtype.itemsize < 4 and value.is_floating_point() else value.numpy()
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"{name} is a masked array; fill what is masked (`.filled(number)`), for nothing here leaves it out"
        )
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} is no array of numbers: {error}") from None
    return native(array, name)


def one_number(value: Any, name: str) -> float:
    """A number, or an array of one. Raises ValueError."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds {array.dtype} of shape {array.shape}; one number is expected")
    return float(array.reshape(()))


def native(array: NDArray[Any], name: str = "the array") -> NDArray[Any]:
    """`floats` of a numpy array."""
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":  # ml_dtypes calls itself of kind V
        raise ValueError(f"{name} holds {array.dtype}; numbers are expected")
    kind = np.float64 if array.dtype.kind == "f" and array.dtype.itemsize == 8 else np.float32
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, which `demand_finite` refuses
        return array.astype(kind, copy=False)


def demand_finite(array: Any, name: str, lengths: NDArray[np.int64]) -> None:
    """Raises ValueError that names the first clip (first axis) with NaN, infinity or a value that float32 cannot hold; `array`
    may lie on a GPU.

    The axis before the last is time. What lies beyond a clip's length is padding, which may hold anything.
    """
    for clip in range(len(array)):
        item = array[clip][..., : int(lengths[clip]), :]
        if (abs(item) <= LARGEST).all():  # neither NaN nor infinity is
            continue
        finite = item.isfinite() if hasattr(item, "isfinite") else np.isfinite(item)
        if not finite.all():
            raise ValueError(f"{name} holds NaN or infinity in clip {clip}; replace or leave out what is undefined")
        raise ValueError(
            f"{name} holds values beyond {LARGEST:.2g} in clip {clip}; no channel of a face has such values"
        )
