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
