"""ultralytics' ``FastSAMPrompt``, which its releases from 2023 to 8.2 had."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam import MaskSet
from fastsam.compat.casia.annotations import bbox_of, crop_image, format_results, segment_image
from fastsam.compat.casia.layers import show_layer
from fastsam.compat.casia.plotting import drawn, in_folder
from fastsam.compat.ultralytics.asking import Asked, prompted
from fastsam.compat.ultralytics.rules import points_and_labels
from fastsam.errors import InputError
from fastsam.images.drawing import save_image

if TYPE_CHECKING:
    from fastsam.compat.results import Results

__all__ = ["FastSAMPrompt"]


class FastSAMPrompt:
    """ultralytics' ``FastSAMPrompt``: prompts on the results of one image, answered by lists of results.

    Args:
        source: the image; the results have it already.
        results: what ``model(source)`` returned.
        device: kept as :attr:`device`; prompts need none.

    Attributes:
        results: what the last prompt gave; everything before the first.
        source, device: as they were given.

    Differences from ultralytics': each prompt asks about everything that was found, not about the answer to
    the prompt before; an answer's boxes are those of its masks. As there, points are answered by one mask,
    the union of those under them, without those that hold a background point; empty where there is none.

    Raises:
        InputError: these are no results.
    """

    def __init__(self, source: Any, results: Results | Sequence[Results], device: Any = "cuda") -> None:
        from fastsam.compat.results import Results

        found = [results] if isinstance(results, Results) else list(results or [])
        if not found or not all(isinstance(one, Results) for one in found):
            kinds = ", ".join(sorted({type(one).__name__ for one in found})) or "nothing"
            raise InputError(f"results: expected what FastSAM()(source) returned, got {kinds}")
        self.source, self.device = source, device
        self.results = self._everything = found

    # What these take and return is said where they are defined: `fastsam.compat.casia`.
    _format_results = staticmethod(format_results)
    _get_bbox_from_mask = staticmethod(bbox_of)
    _segment_image = staticmethod(segment_image)
    fast_show_mask = staticmethod(show_layer)

    def _crop_image(self, format_results: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
        """Return what :func:`fastsam.compat.casia.annotations.crop_image` does, for this image."""
        return crop_image(format_results, self._everything[0].session.frame.rgb)

    def everything_prompt(self) -> list[Results]:
        """Return all masks."""
        self.results = self._everything
        return self.results

    def box_prompt(self, bbox: Any) -> list[Results]:
        """Return the mask that overlaps an xyxy box best.

        Raises:
            PromptError: this is no box.
        """
        return self._answered([prompted(one, Asked(bboxes=bbox), ours=False) for one in self._everything])

    def point_prompt(self, points: Any, pointlabel: Any = None) -> list[Results]:
        """Return the mask that points mean, by the rules of :mod:`fastsam.compat.ultralytics.rules`.

        Args:
            points: (P, 2), image pixels.
            pointlabel: (P,) 1 foreground, 0 background; all foreground by default.

        Raises:
            PromptError: these are no points, or there is not one label for each.
        """
        coords, marks = points_and_labels(points, pointlabel)
        return self._answered([_joined(one, coords, marks) for one in self._everything])

    def text_prompt(self, text: str) -> list[Results]:
        """Return the mask that shows a text best.

        Raises:
            PromptError: the text is empty.
            WeightsError: the text-image model cannot be had.
        """
        return self._answered([prompted(one, Asked(texts=text), ours=False) for one in self._everything])

    def plot(
        self,
        annotations: Any,
        output: str | os.PathLike[str],
        bbox: Any = None,
        points: Any = None,
        point_label: Any = None,
        mask_random_color: bool = True,
        better_quality: bool = True,
        retina: bool = False,
        with_contours: bool = True,
    ) -> None:
        """Draw results over their images and write these into a folder, as files of the same names.

        Args:
            annotations: a list of results.
            output: the folder.
            bbox: a box to draw, xyxy.
            points: points to draw.
            point_label: their labels; all foreground by default.
            mask_random_color: False draws all masks in one colour.
            better_quality: leave out islands and holes of a few pixels.
            retina: accepted for old code; drawing is always at full resolution.
            with_contours: draw outlines.

        Raises:
            ExportError: a file cannot be written.
        """
        for one in annotations:
            picture = drawn(
                one.session.frame,
                [] if one.masks is None else one.masks.data,
                bbox,
                points,
                point_label,
                random_colours=mask_random_color,
                better_quality=better_quality,
                contours=with_contours,
                scaled=True,
            )
            save_image(picture, in_folder(one.session.frame, Path(output), Path(one.path).name))

    def _answered(self, results: list[Results]) -> list[Results]:
        self.results = results
        return results


def _joined(result: Results, coords: Any, marks: Any) -> Results:
    """Return the union of the masks that points choose."""
    chosen = prompted(result, Asked(points=coords, labels=marks), ours=False)
    if len(chosen) == 1 or not len(result):
        return chosen
    masks = chosen.mask_set
    best = np.array([masks.scores.max(initial=0)], np.float32)
    return result.answered(MaskSet.from_dense(masks.union()[None], best))
