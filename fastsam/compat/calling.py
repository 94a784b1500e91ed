"""The keywords of a call, as ultralytics' models take them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsam.compat.arguments import as_array, check_keywords
from fastsam.compat.keeping import KEEPING, Keeper
from fastsam.errors import ConfigError

__all__ = ["Call", "as_number", "as_whole"]

_SEGMENT = ("conf", "imgsz", "iou", "max_det")
_TAKEN = (*_SEGMENT, "device", "retina_masks", "stream", "vid_stride", *sorted(KEEPING))


@dataclass(frozen=True, eq=False)
class Call:
    """What a call asks for, beside its prompts.

    Attributes:
        options: of ``conf``, ``iou``, ``imgsz`` and ``max_det`` those that were given.
        device: where the network runs; None: where it is.
        retina_masks: whether masks have the size of the image; None if nothing was said.
        vid_stride: every how many frames of a video one is taken.
        keep: writes and shows results, as it was asked for.
        others: keywords that the caller of :meth:`read` said it knows.
    """

    options: dict[str, Any]
    device: Any
    retina_masks: bool | None
    vid_stride: int
    keep: Keeper
    others: dict[str, Any]

    @classmethod
    def read(cls, who: str, keywords: Mapping[str, Any], known: Iterable[str] = ()) -> Call:
        """Return what keywords ask for.

        Args:
            who: the call, for messages.
            keywords: ``conf``, ``iou``, ``imgsz``, ``max_det``, ``device``, ``retina_masks``, ``vid_stride``,
                what :class:`Keeper` takes, and ultralytics' others where they do not change what is found.
            known: names that come back as ``others``.

        Raises:
            ConfigError: a keyword is unknown, or a value is no number.
        """
        known = tuple(known)
        mine = {*_TAKEN, *known}
        check_keywords(who, {k: v for k, v in keywords.items() if k not in mine}, (*_TAKEN, *known))
        options = {name: keywords[name] for name in _SEGMENT if keywords.get(name) is not None}
        for name in {"conf", "iou"} & options.keys():
            options[name] = as_number(options[name], name)
        if "max_det" in options:
            options["max_det"] = as_whole(options["max_det"], "max_det")
        stride = keywords.get("vid_stride")
        retina = keywords.get("retina_masks")
        return cls(
            options,
            keywords.get("device"),
            None if retina is None else bool(retina),
            1 if stride is None else max(as_whole(stride, "vid_stride"), 1),
            Keeper(keywords),
            {name: keywords[name] for name in known if name in keywords},
        )


def as_number(value: Any, name: str) -> float:
    """Return a number that may be numpy's, a tensor with one value, or text that old code read from a form.

    Raises:
        ConfigError: it is none.
    """
    try:
        array = np.asarray(as_array(value), np.float64)
        if array.size == 1 and not isinstance(value, (bool, np.bool_)):
            return float(array.reshape(-1)[0])
    except (TypeError, ValueError):
        pass
    raise ConfigError(f"{name}: expected a number, got {value!r}")


def as_whole(value: Any, name: str) -> int:
    """Return a whole number, also where it comes as a float (``25.0``), from numpy or in a tensor.

    Raises:
        ConfigError: it is none.
    """
    number = as_number(value, name)
    if not number.is_integer():
        raise ConfigError(f"{name}: expected a whole number, got {value!r}")
    return int(number)
