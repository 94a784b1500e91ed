"""CASIA's ``FastSAM`` and ``FastSAMPrompt``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam import Box, MaskSet, Points, RenderConfig, Text
from fastsam import FastSAM as Core
from fastsam.compat.arguments import as_array, boxes_inside, check_keywords, points_inside
from fastsam.compat.models import CalledModel
from fastsam.compat.sources import shown_path
from fastsam.errors import ConfigError, ExportError, ImageError, InputError, PromptError
from fastsam.images.drawing import overlay, save_image
from fastsam.images.reading import FrameSource, read_frame
from fastsam.masks.crop import Crop
from fastsam.masks.dense import clean
from fastsam.prompts.text.encoder import Encoder

if TYPE_CHECKING:
    from fastsam.compat.results import Results

__all__ = ["FastSAM", "FastSAMPrompt"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]

_TIDY_PX = 64  # better_quality: islands and holes below this many pixels are not drawn
_PICTURES = frozenset({".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_KEYWORDS = ("conf", "device", "imgsz", "iou", "max_det", "retina_masks")
_PROMPTS = ("bboxes", "points", "labels", "texts")  # of ultralytics' FastSAM, which CASIA's does not take


class FastSAM(CalledModel):
    """CASIA's ``FastSAM``: ``model(image, ...)`` returns a list of results, one an image.

    Results are ultralytics' own class (:class:`fastsam.compat.Results`), with float32 masks as in CASIA's.

    Args:
        model: a checkpoint's path, a name of the weights table, None for the embedded default, or a
            :class:`fastsam.FastSAM`.
        text_model: what answers ``text_prompt``, as in :class:`fastsam.FastSAM`.
        bgr: numpy images are BGR, as CASIA's ``model()`` takes them, and not RGB, as its ``FastSAMPrompt``
            does.

    Differences from CASIA's: numpy images are RGB in both, unless ``bgr``; masks are scored by quality,
    where the weights can tell, and have the size of the image; options that are not given come from the
    weights; an image without a mask gives a result of length 0 instead of ``None``; a file that cannot be
    read is an error.

    Raises:
        WeightsError: the weights cannot be had or used.
    """

    def __init__(
        self,
        model: str | Path | Core | None = None,
        *,
        text_model: str | Path | Encoder | None = None,
        bgr: bool = False,
    ) -> None:
        super().__init__(model, text_model, bgr=bgr)

    def __call__(
        self,
        source: Any,
        device: Any = None,
        retina_masks: bool = True,
        imgsz: int | tuple[int, int] | list[int] | None = None,
        conf: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
        **others: Any,
    ) -> list[Results]:
        """Return one result an image.

        Args:
            source: a path, PIL image, array, tensor, a list of these, a folder or a pattern.
            device: where the network runs, such as ``"cpu"`` or ``torch.device("cuda")``. A model that
                was given ready-made stays where it is.
            retina_masks: accepted for old code; masks always have the image's size.
            imgsz: the network's input: a side, or (height, width).
            conf: least confidence.
            iou: NMS threshold.
            max_det: most masks.
            others: ultralytics' other keywords, where they do not change what is found.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: a keyword is unknown, an option is outside its range, or the machine lacks the
                device.
        """
        from fastsam.compat.results import Results

        if given := sorted(name for name in _PROMPTS if others.pop(name, None) is not None):
            raise ConfigError(
                f"FastSAM: {', '.join(given)}: expected no prompts, as CASIA's FastSAM takes none; "
                "use fastsam.compat.ultralytics.FastSAM, or FastSAMPrompt on the results"
            )
        quiet = {k: v for k, v in others.items() if k not in ("save", "show", "stream") or v}
        check_keywords("FastSAM", quiet, _KEYWORDS)
        self._move(device)
        options = {"imgsz": imgsz, "conf": conf, "iou": iou, "max_det": max_det}
        return [
            Results(session, path=shown_path(session.frame, number), mask_kind="float32", keep_empty=True)
            for number, session in enumerate(self._sessions(source, options, plain=False))
        ]

    predict = __call__


class FastSAMPrompt:
    """CASIA's ``FastSAMPrompt``: prompts on the results of one image.

    Args:
        image: the image that the results are of: path, PIL image or RGB array; None takes it from them.
        results: what ``model(image)`` returned, or one result of it.
        device: kept as :attr:`device`; prompts need none.

    Attributes:
        results: the one result, in a list.
        device: as it was given.

    Differences from CASIA's, in all prompts: points and boxes are pixels of the original image; where
    nothing answers, the array is empty, (0, H, W); the lists that the caller passes are never changed.

    Raises:
        InputError: ``results`` are of no or several images.
        ImageError: the image has another size than the results.
    """

    def __init__(
        self, image: FrameSource | None, results: Results | Sequence[Results], device: Any = None
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

    def everything_prompt(self) -> Any:
        """Return all masks as an (N, H, W) float32 tensor of 0 and 1, best first; the caller's own copy."""
        return self.results[0].masks.data.clone()

    def _format_results(self, result: Results, filter: int = 0) -> list[dict[str, Any]]:
        """Return a dict a mask of ``filter`` pixels or more.

        Keys: ``id``, ``segmentation`` (H, W) bool array, ``bbox`` (x1, y1, x2, y2, confidence, class) and
        ``score`` as tensors, ``area`` in pixels.
        """
        found = []
        for i, mask in enumerate(result.masks.data):
            segmentation = mask.cpu().numpy() == 1
            area = int(np.count_nonzero(segmentation))
            if area >= filter:
                found.append({
                    "id": i,
                    "segmentation": segmentation,
                    "bbox": result.boxes.data[i],
                    "score": result.boxes.conf[i],
                    "area": area,
                })  # fmt: skip
        return found

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
        rows = np.zeros((len(prompt.xyxy) if len(answer) else 0, *size_hw), np.float32)
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
        drawn = self._added_up(together)
        if drawn is not None:
            return drawn[None]
        answer = self._session.select(together)
        return answer.masks.union()[None][: len(answer)]

    def _added_up(self, points: Points) -> BoolArray | None:
        """Return what foreground points mean less what background ones mean; None where a point disagrees."""
        [clicks] = points.objects
        if len(clicks.foreground) + len(clicks.background) < 2 or not clicks.foreground:
            return None
        sides = []
        for side in (clicks.foreground, clicks.background):
            drawn = np.zeros(self._session.masks.size_hw, bool)
            for point in side:
                drawn |= self._session.select(Points(point)).masks.union()
            sides.append(drawn)
        answer: BoolArray = sides[0] & ~sides[1]
        held = [
            [bool(answer[int(y), int(x)]) for x, y in side] for side in (clicks.foreground, clicks.background)
        ]
        return answer if all(held[0]) and not any(held[1]) else None

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
        return np.asarray(answer.masks[:1])

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

        Raises:
            InputError: the annotations are no masks of this image.
            ExportError: the file cannot be written, or would replace the image itself.
        """
        target = self._target(output_path if output_path is not None else output)
        picture = self._drawn(
            annotations, bboxes, points, point_label, mask_random_color, better_quality, withContours
        )
        return save_image(picture, target)

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
        return self._drawn(
            annotations, bboxes, points, point_label, mask_random_color, better_quality, withContours
        )

    def _drawn(
        self,
        annotations: Any,
        bboxes: Any,
        points: Any,
        point_label: Any,
        random_colours: bool,
        better_quality: bool,
        contours: bool,
    ) -> NDArray[np.uint8]:
        """Return the image with masks and prompts drawn over it."""
        size_hw = self._frame.size_hw
        given = self._annotations(annotations)
        crops = [Crop(0, 0, clean(mask, _TIDY_PX) if better_quality else mask) for mask in given]
        return overlay(
            self._frame,
            MaskSet.from_crops(crops, size_hw),
            RenderConfig(contours=contours),
            points=as_array(points),
            point_labels=as_array(point_label),
            boxes=None if bboxes is None else boxes_inside(bboxes, size_hw),
            rows=None if random_colours else [0] * len(crops),
        )

    def _target(self, output: str | os.PathLike[str] | None) -> Path:
        """Return the file to write."""
        if output is None:
            raise ConfigError("plot: expected output_path, a file such as output/dog.jpg, or a folder")
        path, origin = Path(output), Path(self._frame.source or f"{self._frame.name}.png")
        if path.suffix.lower() not in _PICTURES:
            path /= origin.name if origin.suffix.lower() in _PICTURES else f"{origin.stem}.png"
        if self._frame.source and path.resolve() == origin.resolve():
            raise ExportError(f"plot: {path} is the image itself; choose another file or folder")
        return path

    def _annotations(self, annotations: Any) -> list[BoolArray]:
        """Return masks, however they were given, as (H, W) boolean arrays."""
        single = getattr(annotations, "ndim", 0) == 2
        found = []
        for item in [annotations] if single else annotations:
            value = item["segmentation"] if isinstance(item, Mapping) else item
            mask = np.asarray(value.cpu() if hasattr(value, "cpu") else value)
            if mask.shape != self._frame.size_hw:
                wanted = self._frame.size_hw
                raise InputError(
                    f"annotations: expected masks of the image's shape {wanted}, got {mask.shape}"
                )
            found.append(mask.astype(bool))
        return found
