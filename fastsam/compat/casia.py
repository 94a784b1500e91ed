"""CASIA's ``FastSAM`` and ``FastSAMPrompt``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.compat.arguments import boxes_inside, model_of, warn_ignored
from fastsam.config import RenderConfig
from fastsam.errors import ConfigError, ExportError, ImageError, InputError, PromptError
from fastsam.images.drawing import overlay, save_image
from fastsam.images.reading import FrameSource, read_frame
from fastsam.masks.crop import Crop
from fastsam.masks.dense import clean
from fastsam.masks.maskset import MaskSet
from fastsam.model import FastSAM as Model
from fastsam.prompts import Box, Points, Text
from fastsam.prompts.text.encoder import Encoder
from fastsam.session import Session

__all__ = ["Boxes", "FastSAM", "FastSAMPrompt", "Masks", "Results"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]

_TIDY_PX = 64  # better_quality: islands and holes below this many pixels are not drawn
_PICTURES = frozenset({".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, eq=False)
class Masks:
    """The masks of one image.

    Differs from ultralytics: ``data`` is a boolean array at image size, not a float tensor.
    """

    source: MaskSet

    @cached_property
    def data(self) -> BoolArray:
        """(N, H, W) bool, read-only; decoded at the first use."""
        stack = np.asarray(self.source)
        stack.flags.writeable = False
        return stack

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.source)


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one image: ``xyxy`` is (N, 4) float32 in image pixels, ``conf`` (N,) float32 in 0..1."""

    xyxy: FloatArray
    conf: FloatArray

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.conf)


@dataclass(frozen=True, eq=False)
class Results:
    """Everything that was found in one image; read-only.

    Differs from ultralytics: an image in which nothing was found has 0 masks, not ``masks = None``;
    arrays are numpy arrays, so ``.cpu().numpy()`` goes away.
    """

    session: Session

    @cached_property
    def masks(self) -> Masks:
        """All masks, best confidence first."""
        return Masks(self.session.masks)

    @property
    def boxes(self) -> Boxes:
        """The box and the confidence of each mask."""
        return Boxes(self.session.masks.boxes_xyxy, self.session.masks.scores)

    @cached_property
    def orig_img(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 image in OpenCV's channel order, BGR, as in ultralytics."""
        return np.ascontiguousarray(self.session.frame.rgb[..., ::-1])

    @property
    def path(self) -> str:
        """Path that the image was read from; empty for arrays and PIL images."""
        return self.session.frame.source

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.session.masks)


class FastSAM:
    """CASIA's ``FastSAM``: ``model(image, ...)`` returns a list of results, one an image.

    Args:
        model: a checkpoint's path, a name of the weights table, None for the embedded default, or a
            :class:`fastsam.FastSAM`.
        text_model: what answers ``text_prompt``, as in :class:`fastsam.FastSAM`.

    Differences from CASIA's: numpy images are RGB (CASIA leaves that to ultralytics, which takes them as
    BGR); options that are not given come from the weights; an image without a mask gives a result of
    length 0 instead of ``None``; a file that cannot be read is an error.

    Raises:
        WeightsError: the weights cannot be had or used.
    """

    def __init__(
        self, model: str | Path | Model | None = None, *, text_model: str | Path | Encoder | None = None
    ) -> None:
        self._given, self._text_model = model, text_model
        self.model = model_of(model, text_model)

    def __call__(
        self,
        source: FrameSource | Sequence[FrameSource],
        device: Any = None,
        retina_masks: bool = True,
        imgsz: int | None = None,
        conf: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
        **ignored: Any,
    ) -> list[Results]:
        """Return one result an image.

        Args:
            source: a path, PIL image or RGB array, a list of these, a folder or a pattern.
            device: where the network runs, such as ``"cpu"`` or ``torch.device("cuda")``. A model that
                was given ready-made stays where it is.
            retina_masks: masks always have the image's size; False only gets a warning.
            imgsz: longer side of the network's input.
            conf: least confidence.
            iou: NMS threshold.
            max_det: most masks.
            ignored: other arguments of ultralytics (``verbose``, ``half``, ...): a warning names them.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: an option is outside its range, or the machine lacks the device.
        """
        names = sorted(ignored) + ([] if retina_masks else ["retina_masks=False"])
        warn_ignored("fastsam.compat.FastSAM", names, "masks always have the size of the image")
        self._move(device)
        options = {"imgsz": imgsz, "conf": conf, "iou": iou, "max_det": max_det}
        return [Results(session) for session in self.model.open_many(source, **options)]

    predict = __call__

    def _move(self, device: Any) -> None:
        """Load the weights again where the caller wants them on another device."""
        here = getattr(self.model.segmenter, "device", None)
        if device is None or isinstance(self._given, Model) or str(device) in ("auto", str(here)):
            return
        self.model = Model(self._given, device=str(device), text_model=self._text_model)


class FastSAMPrompt:
    """CASIA's ``FastSAMPrompt``: prompts on the results of one image.

    Args:
        image: the image that the results are of: path, PIL image or RGB array; None takes it from them.
        results: what ``model(image)`` returned, or one result of it.
        device: accepted for old code; prompts need none.

    Differences from CASIA's, in all prompts: points and boxes are pixels of the original image; where
    nothing answers, the array is empty, (0, H, W); the lists that the caller passes are never changed.

    Raises:
        InputError: ``results`` are of no or several images.
        ImageError: the image has another size than the results.
    """

    def __init__(
        self, image: FrameSource | None, results: Results | Sequence[Results], device: Any = None
    ) -> None:
        found = [results] if isinstance(results, Results) else list(results or [])
        if len(found) != 1 or not isinstance(found[0], Results):
            kinds = ", ".join(sorted({type(one).__name__ for one in found})) or "nothing"
            raise InputError(
                f"results: expected what model(image) returned for one image, got {len(found)} of {kinds}; "
                "make one FastSAMPrompt an image: FastSAMPrompt(image, results[0])"
            )
        self.results = found
        self._session = found[0].session
        self._frame = self._session.frame if image is None else read_frame(image)
        if self._frame.size_hw != self._session.frame.size_hw:
            (height, width), (h, w) = self._frame.size_hw, self._session.frame.size_hw
            raise ImageError(f"image: expected the {w}x{h} image of the results, got {width}x{height}")

    @property
    def img(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB image."""
        return self._frame.rgb

    def everything_prompt(self) -> BoolArray:
        """Return all masks as an (N, H, W) boolean array, best confidence first."""
        return self.results[0].masks.data

    def box_prompt(self, bbox: Any = None, bboxes: Any = None) -> BoolArray:
        """Return (n, H, W): row k is the mask that overlaps box k best.

        Differences from CASIA's: the rows keep the order of the boxes and none is left out as a
        duplicate; a box that no mask overlaps has an all-False row, not an arbitrary mask. As in CASIA,
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
        rows = np.zeros((len(prompt.xyxy) if len(answer) else 0, *size_hw), bool)
        for k, number in enumerate(answer.groups):
            rows[number] = answer.masks.mask(k)
        return rows

    def point_prompt(self, points: Any, pointlabel: Any = None) -> BoolArray:
        """Return (1, H, W): the mask that the points of one object mean.

        Differences from CASIA's: foreground points (label 1) add what they hit and background points
        (0) subtract, whatever their order (see :class:`fastsam.Points`); a click means the best mask
        under it, not the union of all. Only background points: everything but what they hit.

        Raises:
            PromptError: a point is outside the image, or there is not one label for each point.
        """
        answer = self._session.select(Points(points, pointlabel))
        return answer.masks.union()[None][: len(answer)]

    def text_prompt(self, text: str) -> BoolArray:
        """Return (1, H, W): the mask that fits a text best.

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
        size_hw = self._frame.size_hw
        given = self._annotations(annotations)
        crops = [Crop(0, 0, clean(mask, _TIDY_PX) if better_quality else mask) for mask in given]
        picture = overlay(
            self._frame,
            MaskSet.from_crops(crops, size_hw),
            RenderConfig(contours=withContours),
            points=points,
            point_labels=point_label,
            boxes=None if bboxes is None else boxes_inside(bboxes, size_hw),
            rows=None if mask_random_color else [0] * len(crops),
        )
        return save_image(picture, target)

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
