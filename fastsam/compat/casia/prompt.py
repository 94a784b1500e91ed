"""CASIA's ``FastSAMPrompt``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam import Box, Points, Text
from fastsam.compat.arguments import as_array, boxes_inside, points_inside
from fastsam.compat.casia.annotations import bbox_of, crop_image, filter_masks, format_results, segment_image
from fastsam.compat.casia.layers import show_layer
from fastsam.compat.casia.plotting import drawn, target_of
from fastsam.errors import ConfigError, ImageError, InputError, PromptError
from fastsam.images.drawing import save_image
from fastsam.images.reading import FrameSource, read_frame
from fastsam.masks.selection import Selection
from fastsam.prompts import Prompt

if TYPE_CHECKING:
    from fastsam.compat.results import Results

__all__ = ["FastSAMPrompt", "added_up"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]


class FastSAMPrompt:
    """CASIA's ``FastSAMPrompt``: prompts on the results of one image.

    Args:
        image: the image that the results are of: path, PIL image or RGB array; None takes it from them.
        results: what ``model(image)`` returned, or one result of it.
        device: kept as :attr:`device`; prompts need none.
        img_path: the name that older versions have for ``image``.

    Attributes:
        results: the one result, in a list.
        device: as it was given.

    Differences from CASIA's, in all prompts: points and boxes are pixels of the original image; where
    nothing answers, the mask is empty; the lists that the caller passes are never changed.

    Raises:
        InputError: ``results`` are of no or several images.
        ImageError: the image has another size than the results.
    """

    def __init__(
        self,
        image: FrameSource | None = None,
        results: Results | Sequence[Results] = (),
        device: Any = None,
        *,
        img_path: FrameSource | None = None,
    ) -> None:
        from fastsam.compat.results import Results

        found = [results] if isinstance(results, Results) else list(results or [])
        if len(found) != 1 or not isinstance(found[0], Results):
            kinds = ", ".join(sorted({type(one).__name__ for one in found})) or "nothing"
            raise InputError(
                f"results: expected what model(image) returned for one image, got {len(found)} of {kinds}; "
                "make one FastSAMPrompt an image: FastSAMPrompt(image, results[0])"
            )
        self.results, self.device = found, device
        self._img: NDArray[np.uint8] | None = None
        self._session = found[0].asked_session()
        image = img_path if image is None else image
        self._frame = self._session.frame if image is None else read_frame(image)
        if self._frame.size_hw != self._session.frame.size_hw:
            (height, width), (h, w) = self._frame.size_hw, self._session.frame.size_hw
            raise ImageError(f"image: expected the {w}x{h} image of the results, got {width}x{height}")

    @property
    def img(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 image, channels in the order of the image that was given; RGB of a file."""
        if self._img is None:
            self._img = self._frame.rgb.copy()  # the caller's own: old code draws on it
        return self._img

    @property
    def ori_img(self) -> NDArray[np.uint8]:
        """The same image in BGR, as older versions kept it."""
        return np.ascontiguousarray(self.img[..., ::-1])

    @property
    def img_path(self) -> str:
        """The file of the image; empty for arrays."""
        return self._frame.source

    def everything_prompt(self) -> Any:
        """Return all masks as an (N, H, W) float32 tensor of 0 and 1, best first; the caller's own copy."""
        import torch

        masks = self.results[0].masks
        if masks is None:
            return torch.zeros((0, *self._session.frame.size_hw))
        return masks.data.clone().float()

    # What these take and return is said where they are defined: `casia.annotations`, `casia.layers`.
    _format_results = staticmethod(format_results)
    filter_masks = staticmethod(filter_masks)
    _get_bbox_from_mask = staticmethod(bbox_of)
    _segment_image = staticmethod(segment_image)
    fast_show_mask = fast_show_mask_gpu = staticmethod(show_layer)

    def _crop_image(self, format_results: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
        """Return what :func:`fastsam.compat.casia.annotations.crop_image` does, for this image."""
        return crop_image(format_results, self._frame.rgb)

    def retrieve(self, *_: Any, **__: Any) -> Any:
        """Refuse CLIP's objects.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "FastSAMPrompt.retrieve: expected no CLIP model, texts are answered by FastSAM(text_model=...); "
            "call text_prompt(text), or fastsam.FastSAM().open(image).select('a text').scores"
        )

    def box_prompt(self, bbox: Any = None, bboxes: Any = None) -> FloatArray:
        """Return (n, H, W) float32, 0 and 1: row k is the mask that overlaps box k best.

        Differences from CASIA's: the rows keep the order of the boxes and none is left out as a
        duplicate; a box that no mask overlaps has a row of zeros, not an arbitrary mask. As in CASIA,
        boxes that leave the image are cut to it.

        Args:
            bbox: one box, xyxy.
            bboxes: several; instead of ``bbox``.

        Raises:
            PromptError: both or neither were given, or a box is empty or outside the image.
        """
        if (bbox is None) == (bboxes is None):
            raise PromptError("box_prompt: expected either bbox=[x1, y1, x2, y2] or bboxes=[[...], ...]")
        size_hw = self._session.masks.size_hw
        prompt = Box(boxes_inside(bbox if bboxes is None else bboxes, size_hw), iou_threshold=0.0)
        answer = self._session.select(prompt)
        rows = np.zeros((len(prompt.xyxy), *size_hw), np.float32)
        for k, number in enumerate(answer.groups):
            rows[number] = answer.masks.mask(k)
        return rows

    def point_prompt(self, points: Any, pointlabel: Any = None) -> BoolArray:
        """Return (1, H, W) bool: the mask that the points of one object mean.

        Differences from CASIA's: foreground points (label 1) add what they mean and background points
        (0) subtract it, whatever their order; a click means the best mask under it, not the union of all.
        Where that contradicts a point, the points are answered together, as :class:`fastsam.Points`. Only
        background points: everything but what they hit.

        Raises:
            PromptError: these are no points, or there is not one label for each.
        """
        inside = points_inside(points, self._session.frame.size_hw, 3)
        together = Points(inside, as_array(pointlabel))
        drawn = added_up(self._session.select, together, self._session.frame.size_hw)
        if drawn is not None:
            return drawn[None]
        return self._session.select(together).masks.union()[None]

    def text_prompt(self, text: str) -> BoolArray:
        """Return (1, H, W) bool: the mask that fits a text best.

        Differences from CASIA's: the text-image model is the one that the segmenter was made with,
        ``FastSAM(model, text_model=...)``; neighbours do not leak into what it sees of a mask. As there, the
        best mask answers however badly it fits; :class:`fastsam.Text` gives all that fit, or none.

        Raises:
            PromptError: the text is empty.
            WeightsError: that model cannot be had.
        """
        if not isinstance(text, str):
            raise PromptError(f"text_prompt: expected a text such as 'a dog', got {text!r}")
        answer = self._session.select(Text(text, threshold=0.0))
        return answer.masks[:1].union()[None]

    def plot(
        self,
        annotations: Any,
        output_path: str | os.PathLike[str] | None = None,
        bboxes: Any = None,
        points: Any = None,
        point_label: Any = None,
        mask_random_color: bool = True,
        better_quality: bool = True,
        retina: bool = False,
        withContours: bool = True,  # noqa: N803 - CASIA's name
        *,
        output: str | os.PathLike[str] | None = None,
        bbox: Any = None,
    ) -> Path:
        """Draw masks over the image, write the file at the image's own size, and return its path.

        Differences from CASIA's: no white frame and no matplotlib; without annotations the bare image is
        written.

        Args:
            annotations: (N, H, W) masks, a list of (H, W) masks, or SAM's list of records.
            output_path: a file, by its suffix; anything else is a folder for a file named as the image.
            bboxes: boxes to draw, xyxy.
            points: points to draw.
            point_label: their labels; all foreground by default.
            mask_random_color: False draws all masks in one colour.
            better_quality: leave out islands and holes of a few pixels.
            retina: accepted for old code; drawing is always at full resolution.
            withContours: draw outlines.
            output: the name that older versions have for ``output_path``.
            bbox: the name that older versions have for ``bboxes``.

        Raises:
            InputError: the annotations are no masks of this image.
            ExportError: the file cannot be written, or would replace the image itself.
        """
        target = target_of(self._frame, output_path if output_path is not None else output)
        boxes = bbox if bboxes is None else bboxes
        shown = self.plot_to_result(
            annotations, boxes, points, point_label, mask_random_color, better_quality, retina, withContours
        )
        return save_image(shown, target)

    def plot_to_result(
        self,
        annotations: Any,
        bboxes: Any = None,
        points: Any = None,
        point_label: Any = None,
        mask_random_color: bool = True,
        better_quality: bool = True,
        retina: bool = False,
        withContours: bool = True,  # noqa: N803 - CASIA's name
    ) -> NDArray[np.uint8]:
        """Return what :meth:`plot` draws as an (H, W, 3) uint8 array, channels in the order of :attr:`img`.

        Raises:
            InputError: the annotations are no masks of this image.
        """
        return drawn(
            self._frame,
            annotations,
            bboxes,
            points,
            point_label,
            random_colours=mask_random_color,
            better_quality=better_quality,
            contours=withContours,
        )


def added_up(
    select: Callable[[Prompt], Selection], points: Points, size_hw: tuple[int, int]
) -> BoolArray | None:
    """Return what foreground points mean less what background ones mean; None where a point disagrees.

    Args:
        select: answers one prompt.
        points: about one object.
        size_hw: of the image.
    """
    [clicks] = points.objects
    if len(clicks.foreground) + len(clicks.background) < 2 or not clicks.foreground:
        return None
    sides = []
    for side in (clicks.foreground, clicks.background):
        held = np.zeros(size_hw, bool)
        for point in side:
            held |= select(Points(point)).masks.union()
        sides.append(held)
    answer: BoolArray = sides[0] & ~sides[1]
    agree = all(answer[int(y), int(x)] for x, y in clicks.foreground)
    return answer if agree and not any(answer[int(y), int(x)] for x, y in clicks.background) else None
