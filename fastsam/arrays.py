"""Arrays inside frozen records: read-only, checked, indexed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import RecordError

IntArray = NDArray[np.int64]


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that refuses writing."""
    view = array.view()
    view.flags.writeable = False
    return view


def frozen_array(values: Any, dtype: Any, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Return ``values`` as a read-only array of a shape, or say which of the record's arrays is wrong.

    Raises:
        RecordError: it is no array of such numbers, or of another shape.
    """
    array = checked_array(values, dtype, name)
    if array.shape != shape:
        raise RecordError(f"{name}: expected {shape} for {shape[0]} masks, got {array.shape}")
    return read_only(array)


def unit_rows(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Return (N, D) vectors at length 1; rows of zeros stay zeros.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return np.asarray(unit, np.float32)


def row_index(key: Any, count: int) -> IntArray:
    """Turn an int, slice, boolean mask or list of ints into row numbers."""
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        if not -count <= key < count:
            raise IndexError(f"row {int(key)} of {count}")
        return np.array([key % count], np.int64)
    if isinstance(key, slice):
        return np.arange(count, dtype=np.int64)[key]
    array = np.asarray(key)
    if array.dtype == bool:
        if array.shape != (count,):
            raise RecordError(f"index: expected a boolean array of shape ({count},), got {array.shape}")
        return np.flatnonzero(array).astype(np.int64)
    if array.size and array.dtype.kind not in "iu":
        raise RecordError(f"index: expected rows as an int, a slice, ints or {count} booleans, got {key!r}")
    return np.arange(count, dtype=np.int64)[array.astype(np.int64)].reshape(-1)


def checked_array(values: Any, dtype: Any, name: str) -> NDArray[Any]:
    """Return ``values`` as an array, or say which of the record's arrays it cannot be."""
    try:
        return np.asarray(values, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordError(
            f"{name}: expected {np.dtype(dtype).name} numbers, got {str(values)[:80]}"
        ) from error
