"""SAM 2's ``SAM2ImagePredictor``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM
from fastsam.compat.arguments import as_array, objects_of
from fastsam.compat.segment_anything.modeling.sam import Sam
from fastsam.compat.segment_anything.predictor import Features, SamPredictor
from fastsam.errors import NoImageError, PromptError

__all__ = ["SAM2ImagePredictor"]

FloatArray = NDArray[np.float32]


class SAM2ImagePredictor:
    """SAM 2's image predictor: one image or a batch is set, then asked about; several boxes at once.

    Args:
        sam_model: what ``build_sam2`` gives, a :class:`fastsam.FastSAM`, or a checkpoint's path or name.
        mask_threshold: where logits are cut.
        max_hole_area, max_sprinkle_area: accepted for old code; see ``min_region_share`` of
            :class:`fastsam.SegmentConfig`.

    Attributes:
        model: the model, as it was given.

    Raises:
        WeightsError: the weights cannot be had or used.
    """

    def __init__(
        self,
        sam_model: Sam | FastSAM | str | None = None,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        **_: Any,
    ) -> None:
        self._one = SamPredictor(sam_model)
        self.model = self._one.model
        self.mask_threshold = mask_threshold
        self._batch: list[Features] | None = None

    @classmethod
    def from_pretrained(cls, model_id: str, **options: Any) -> SAM2ImagePredictor:
        """Return a predictor of the embedded model: nothing is downloaded for ``model_id``."""
        options.pop("device", None)
        return cls(Sam(), **options)

    @property
    def device(self) -> Any:
        """Where the network runs, as a ``torch.device``."""
        return self._one.device

    def set_image(self, image: Any) -> None:
        """Find all masks of an image: an (H, W, 3) RGB array, a PIL image or a path.

        Raises:
            ImageError: it cannot be read.
        """
        self._batch = None
        self._one.set_image(image)

    def set_image_batch(self, image_list: Sequence[Any]) -> None:
        """Find all masks of several images, for :meth:`predict_batch`.

        Raises:
            ImageError: one cannot be read.
        """
        self.reset_predictor()
        found = []
        for image in image_list:
            self._one.set_image(image)
            found.append(self._one.get_image_embedding())
        self._one.reset_image()
        self._batch = found

    def reset_predictor(self) -> None:
        """Forget the images."""
        self._one.reset_image()
        self._batch = None

    def get_image_embedding(self) -> Features:
        """Return what is known of the image, as a token.

        Raises:
            NoImageError: no image is set.
        """
        return self._one.get_image_embedding()

    def predict(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the masks that the prompts mean.

        Args:
            point_coords: (P, 2) of (x, y), or (B, P, 2) about B objects.
            point_labels: (P,) or (B, P).
            box: (4,) xyxy, or (B, 4).
            mask_input: (1, 256, 256), or (B, 1, 256, 256).
            multimask_output: three answers an object instead of one.
            return_logits: masks as logits.
            normalize_coords: points and boxes are in image pixels; False: shares of the image's sides.

        Returns:
            (C, H, W) float32 masks, 0 and 1, (C,) scores and (C, 256, 256) logits; with B above 1 objects
            (B, C, H, W), (B, C) and (B, C, 256, 256). Empty masks, score 0, where nothing answers.

        Raises:
            NoImageError: no image is set.
            PromptError: there is no prompt, or one does not fit the image.
        """
        size_hw = self._one.original_size
        if size_hw is None:
            raise NoImageError("predict: expected an image first; call set_image(image)")
        sides = np.array([1.0, 1.0] if normalize_coords else size_hw[::-1])
        columns = [
            _objects(point_coords, 2, sides),
            _objects(point_labels, 1, None),
            _objects(box, 1, np.tile(sides, 2)),
            _objects(mask_input, 3, None),
        ]
        rows = [
            self._one.predict(coords, labels, one_box, drawn, multimask_output, return_logits)
            for coords, labels, one_box, drawn in objects_of("predict", *columns)
        ]
        found = [np.stack([row[part] for row in rows]).astype(np.float32) for part in range(3)]
        first, second, third = found if len(rows) > 1 else [stack[0] for stack in found]
        return first, second, third

    def predict_batch(
        self,
        point_coords_batch: Sequence[Any] | None = None,
        point_labels_batch: Sequence[Any] | None = None,
        box_batch: Sequence[Any] | None = None,
        mask_input_batch: Sequence[Any] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[FloatArray], list[FloatArray], list[FloatArray]]:
        """Return what :meth:`predict` does for each image of :meth:`set_image_batch`.

        Raises:
            NoImageError: no batch is set.
            PromptError: as :meth:`predict`, or there are not prompts for each image.
        """
        if self._batch is None:
            raise NoImageError("predict_batch: expected images first; call set_image_batch(images)")
        columns = (point_coords_batch, point_labels_batch, box_batch, mask_input_batch)
        for column in columns:
            if column is not None and len(column) != len(self._batch):
                raise PromptError(
                    f"predict_batch: expected prompts of {len(self._batch)} images, got {len(column)}"
                )
        found: tuple[list[FloatArray], list[FloatArray], list[FloatArray]] = ([], [], [])
        for k, token in enumerate(self._batch):
            self._one.features = token
            coords, labels, box, drawn = (None if column is None else column[k] for column in columns)
            answer = self.predict(
                coords, labels, box, drawn, multimask_output, return_logits, normalize_coords
            )
            for part, value in zip(found, answer, strict=True):
                part.append(value)
        self._one.reset_image()
        return found


def _objects(values: Any, depth: int, sides: NDArray[np.float64] | None) -> NDArray[Any] | None:
    """Return a prompt with one row an object, in image pixels."""
    if values is None:
        return None
    try:
        array = np.asarray(as_array(values), np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"predict: expected numbers, got {str(values)[:80]}") from error
    array = array[None] if array.ndim == depth else array
    if array.ndim != depth + 1:
        raise PromptError(f"predict: expected {depth} or {depth + 1} dimensions, got shape {array.shape}")
    return array if sides is None else array * sides
