"""What every call of ultralytics' models takes beside its prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from fastsam.compat.arguments import check_keywords
from fastsam.compat.ultralytics.keeping import Keeper

if TYPE_CHECKING:
    from fastsam.compat.results import Results

__all__ = ["CallOptions", "given_back", "options_of"]


class CallOptions(TypedDict, total=False):
    """Keywords of ultralytics' calls.

    Attributes:
        conf: minimum confidence.
        iou: threshold of non-maximum suppression.
        imgsz: the network's input: a side, or (height, width).
        max_det: maximum number of masks.
        device: where the network runs.
        retina_masks: False gives ``masks.data`` at the size of the network's input, where a call says so.
        save: also write each result's ``plot`` into ``runs/segment/predict*``, as ultralytics does.
        show: also show it in a window.
        project: with ``save``: the folder, ``runs/segment`` by default.
        name: with ``save``: the folder in it, ``predict`` by default.
        exist_ok: with ``save``: write into a folder that is there.
        verbose: accepted, as are ultralytics' other keywords that do not change what is found.
        half: as ``verbose``.
    """

    conf: float | None
    iou: float | None
    imgsz: int | tuple[int, int] | list[int] | None
    max_det: int | None
    device: Any
    retina_masks: bool | None
    save: bool
    show: bool
    project: Any
    name: Any
    exist_ok: bool
    verbose: bool
    half: bool


_OF_SEGMENTING = ("conf", "iou", "imgsz", "max_det")
_OURS = {*_OF_SEGMENTING, "device", "retina_masks", "save", "show"}


def options_of(who: str, given: Mapping[str, Any], prompts: tuple[str, ...]) -> tuple[dict[str, Any], Keeper]:
    """Return the options of segmenting, None where the call gives none, and what keeps the results.

    Args:
        who: the call, for messages.
        given: its keywords.
        prompts: the names of its prompts, for messages.

    Raises:
        ConfigError: a keyword is unknown, or asks for what this package does not do.
    """
    check_keywords(who, {k: v for k, v in given.items() if k not in _OURS}, [*_OURS, "stream", *prompts])
    options = {name: given.get(name) for name in _OF_SEGMENTING}
    return options, Keeper(given.get("save", False), given.get("show", False), given)


def given_back(results: Iterator[Results], stream: bool) -> list[Results] | Iterator[Results]:
    """Return results one by one, or all of them."""
    return results if stream else list(results)
