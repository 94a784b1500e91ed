"""SAM's ``SamPredictor``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM, Session
from fastsam.compat.arguments import as_array, core_of, objects_of, our_weights
from fastsam.compat.segment_anything.answers import answer
from fastsam.compat.segment_anything.low_res import LOGIT, LOW_RES, to_low_res
from fastsam.compat.segment_anything.modeling.sam import Sam
from fastsam.compat.segment_anything.scale import scale_of
from fastsam.compat.segment_anything.utils.transforms import ResizeLongestSide
from fastsam.compat.sources import array_frame
from fastsam.errors import ConfigError, ImageError, NoImageError, PromptError
from fastsam.images.reading import FrameSource, read_frame

__all__ = ["Features", "SamPredictor"]

FloatArray = NDArray[np.float32]


class Features:
    """What a predictor knows of an image, as an opaque token: ``predictor.features = token`` restores it.

    Attributes:
        session: the image with all its masks.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def to(self, *_: Any, **__: Any) -> Features:
        """Return itself: it lies in memory, on no device."""
        return self

    cpu = cuda = clone = detach = to

    def numpy(self, *_: Any, **__: Any) -> Any:
        """Refuse to be numbers.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "image embedding: expected no array, this is a token for an image and its masks; "
            "`predictor.features = token` brings them back, and SAM's decoders cannot use it"
        )

    __array__ = tolist = numpy

    def __getattr__(self, name: str) -> Any:
        """Say that the token has nothing of a tensor."""
        raise AttributeError(
            f"image embedding: no {name!r}, this is a token for an image and its masks, not a tensor"
        )


class SamPredictor:
    """SAM's ``SamPredictor``: set an image once, then ask about it as often as needed.

    Args:
        model: what ``sam_model_registry`` gives, a :class:`fastsam.FastSAM`, or a checkpoint's path or name.
        options: fields of :class:`fastsam.SegmentConfig` for :meth:`set_image`.

    Attributes:
        model: the model, as it was given.
        transform: scales into the frame that :meth:`predict_torch` takes.

    Differences from SAM's: the answers are chosen from the masks that the network found in
    :meth:`set_image`, so there may be none (see :meth:`predict`); ``features`` are no numbers, but a token.

    Raises:
        WeightsError: the weights cannot be had or used.

    >>> from fastsam import FastSAM
    >>> from fastsam.testing import FixedSegmenter
    >>> predictor = SamPredictor(FastSAM(segmenter=FixedSegmenter(np.ones((1, 4, 6), bool))))
    >>> predictor.set_image(np.zeros((4, 6, 3), np.uint8))
    >>> masks, scores, low_res = predictor.predict(np.array([[2, 2]]), np.array([1]), multimask_output=False)
    >>> masks.shape, scores.shape, low_res.shape
    ((1, 4, 6), (1,), (1, 256, 256))
    """

    def __init__(self, model: Sam | FastSAM | str | Path | None = None, **options: Any) -> None:
        self.model: Any = Sam(core_of(our_weights(model))) if _is_name(model) else model
        self._options = options
        self._session: Session | None = None
        self.transform = ResizeLongestSide(1024)
        core_of(self.model)  # says at once what cannot be used

    @property
    def device(self) -> Any:
        """Where the network runs, as a ``torch.device``."""
        return self.model.device if hasattr(self.model, "device") else Sam(core_of(self.model)).device

    @property
    def is_image_set(self) -> bool:
        """Whether :meth:`predict` has an image to answer about; False may be set, to forget it."""
        return self._session is not None

    @is_image_set.setter
    def is_image_set(self, value: bool) -> None:
        if not value:
            self._session = None

    @property
    def features(self) -> Features | None:
        """What is known of the image, a token for later; setting it brings that image back."""
        return None if self._session is None else Features(self._session)

    @features.setter
    def features(self, token: Features | None) -> None:
        if token is not None and not isinstance(token, Features):
            raise ConfigError(
                "features: expected what a predictor's `features` gave (SAM's embeddings mean nothing here), "
                f"got {type(token).__name__}"
            )
        self._session = None if token is None else token.session

    def get_image_embedding(self) -> Features:
        """Return :attr:`features`.

        Raises:
            NoImageError: no image is set.
        """
        return Features(self._seen("get_image_embedding"))

    @property
    def original_size(self) -> tuple[int, int] | None:
        """(height, width) of the image; what is set is ignored, the features know it."""
        return None if self._session is None else self._session.frame.size_hw

    @original_size.setter
    def original_size(self, size_hw: Any) -> None:
        pass

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(height, width) of the scaled image; what is set is ignored."""
        size_hw = self.original_size
        return None if size_hw is None else self.transform.get_preprocess_shape(*size_hw, 1024)

    @input_size.setter
    def input_size(self, size_hw: Any) -> None:
        pass

    def reset_image(self) -> None:
        """Forget the image and its masks."""
        self._session = None

    def set_image(self, image: FrameSource, image_format: str = "RGB") -> None:
        """Find all masks of an image.

        Args:
            image: (H, W, 3) uint8 array; also a path, a PIL image, or what :func:`fastsam.read_frame` takes.
            image_format: channel order of an array, ``"RGB"`` or ``"BGR"``.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: unknown ``image_format``, or an option of the constructor is unusable.
        """
        if image_format not in ("RGB", "BGR"):
            raise ConfigError(f"image_format: expected 'RGB' or 'BGR', got {image_format!r}")
        self._session = None  # an image that fails must not be answered with the one before
        if image_format == "BGR":
            if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
                found = image.shape if isinstance(image, np.ndarray) else type(image).__name__
                raise ImageError(f"image: expected an (H, W, 3) array with image_format='BGR', got {found}")
            image = array_frame(image, bgr=True)
        self._session = core_of(self.model).open(image, **self._options)

    def set_torch_image(self, transformed_image: Any, original_image_size: Sequence[int]) -> None:
        """Find all masks of an image that was scaled by :attr:`transform`.

        Args:
            transformed_image: (1, 3, h, w) RGB tensor in 0..255.
            original_image_size: (height, width) before scaling.

        Raises:
            ImageError: it has another shape.
        """
        array = np.asarray(as_array(transformed_image))
        if array.ndim != 4 or array.shape[:2] != (1, 3):
            raise ImageError(f"transformed_image: expected (1, 3, h, w), got {array.shape}")
        height, width = (int(side) for side in original_image_size)
        rgb = np.ascontiguousarray(np.clip(array[0].transpose(1, 2, 0), 0, 255).astype(np.uint8))
        self._session = None
        frame = read_frame(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR))
        self._session = core_of(self.model).open(frame, **self._options)

    def predict(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        *,
        num_multimask_outputs: int | None = None,
        hq_token_only: bool = False,
    ) -> tuple[NDArray[Any], FloatArray, FloatArray]:
        """Return the masks that the prompts mean, about one object.

        Prompts of several kinds combine: the answer is a mask that fits all of them; where no mask does as
        it is, the points add and subtract among the masks that fit the box and ``mask_input``.

        Args:
            point_coords: (P, 2) of (x, y) image pixels; one outside the image is moved to its edge.
            point_labels: (P,) 1 foreground, 0 background; all foreground by default.
            box: xyxy; cut to the image. One without area is a click at its middle.
            mask_input: (1, 256, 256), a row of an earlier call's third value; without a logit above 0 it
                asks for nothing, as the logits of an empty answer.
            multimask_output: three answers (whole, part, subpart, where a click is ambiguous) instead of one.
            return_logits: masks as float32, 10 inside and -10 outside: they have no soft edges.
            num_multimask_outputs: MobileSAM's way to say it: more than 1 is ``multimask_output``.
            hq_token_only: accepted for code of SAM-HQ.

        Returns:
            (C, H, W) masks, best first; (C,) how well each answers the prompts, on SAM's scale
            (:mod:`fastsam.compat.segment_anything.scale`); (C, 256, 256) the masks as logits, area-averaged
            in SAM's frame (longer side 256, padded right and below). As in SAM, C is 3 with
            ``multimask_output``, else 1: where fewer masks answer, the rest are empty masks with the score
            0.

        Raises:
            NoImageError: no image is set.
            PromptError: there is no prompt, or one does not fit the image.
        """
        session = self._seen("predict")
        if num_multimask_outputs is not None:
            multimask_output = num_multimask_outputs > 1
        prompts = (point_coords, point_labels, box, mask_input)
        found = answer(session, *prompts, multimask=multimask_output)
        low_res = np.stack([to_low_res(mask) for mask in found.masks])
        scores = scale_of(core_of(self.model)).put(found.kind, found.scores)
        if return_logits:
            return np.where(found.masks, np.float32(LOGIT), np.float32(-LOGIT)), scores, low_res
        return found.masks, scores, low_res

    def predict_torch(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        boxes: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        *,
        num_multimask_outputs: int | None = None,
        hq_token_only: bool = False,
    ) -> tuple[Any, Any, Any]:
        """Return the answers about several objects; row k answers prompt k.

        Args:
            point_coords: (B, P, 2) tensor in the frame of :attr:`transform`.
            point_labels: (B, P).
            boxes: (B, 4) in that frame.
            mask_input: (B, 1, 256, 256).
            multimask_output: three answers a prompt instead of one.
            return_logits: as in :meth:`predict`.
            num_multimask_outputs: as there.
            hq_token_only: as there.

        Returns:
            (B, C, H, W) bool, (B, C) and (B, C, 256, 256) float32 tensors on :attr:`device`.

        Raises:
            NoImageError, PromptError: as in :meth:`predict`.
        """
        import torch

        session = self._seen("predict_torch")
        if num_multimask_outputs is not None:
            multimask_output = num_multimask_outputs > 1
        size_hw = session.frame.size_hw
        columns = [
            self._undone(point_coords, size_hw, (3, 2), "point_coords: expected (B, P, 2)"),
            None if point_labels is None else np.asarray(as_array(point_labels)),
            self._undone(boxes, size_hw, (2, 4), "boxes: expected (B, 4)"),
            None if mask_input is None else np.asarray(as_array(mask_input)),
        ]
        rows = [
            self.predict(coords, labels, box, drawn, multimask_output, return_logits)
            for coords, labels, box, drawn in objects_of("predict_torch", *columns, empty=True)
        ]
        count, device = 3 if multimask_output else 1, self.device
        masks = np.array([row[0] for row in rows], np.float32 if return_logits else bool)
        scores = np.array([row[1] for row in rows], np.float32)
        low_res = np.array([row[2] for row in rows], np.float32)
        return (
            torch.from_numpy(masks.reshape(-1, count, *size_hw)).to(device),
            torch.from_numpy(scores.reshape(-1, count)).to(device),
            torch.from_numpy(low_res.reshape(-1, count, LOW_RES, LOW_RES)).to(device),
        )

    def _undone(
        self, values: Any, size_hw: tuple[int, int], form: tuple[int, int], wanted: str
    ) -> NDArray[np.float64] | None:
        """Return points or boxes of the scaled frame in image pixels."""
        if values is None:
            return None
        array = np.asarray(as_array(values), np.float64)
        if (array.ndim, array.shape[-1]) != form:
            raise PromptError(f"{wanted}, got shape {array.shape}")
        pairs = array.reshape(*array.shape[:-1], form[1] // 2, 2)
        return self.transform.undone(pairs, size_hw).reshape(array.shape)

    def _seen(self, what: str) -> Session:
        """Return the image.

        Raises:
            NoImageError: there is none.
        """
        if self._session is None:
            raise NoImageError(f"{what}: expected an image first; call set_image(image)")
        return self._session


def _is_name(model: Any) -> bool:
    """Tell whether this is None or names weights, and is no model."""
    return model is None or isinstance(model, (str, Path))
