"""The camera predictor of SAM 2's real-time fork: frames come one by one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM, Frame, Session
from fastsam.compat.arguments import as_array, core_of
from fastsam.compat.sam2.following import Following
from fastsam.compat.segment_anything.answers import answer
from fastsam.compat.segment_anything.low_res import LOGIT
from fastsam.compat.segment_anything.modeling.sam import Sam
from fastsam.config import VideoConfig
from fastsam.errors import NoImageError, PromptError
from fastsam.images.reading import read_frame

__all__ = ["SAM2CameraPredictor"]

BoolArray = NDArray[np.bool_]


class SAM2CameraPredictor:
    """Objects are prompted in a first frame, and followed through the frames that :meth:`track` gets.

    Args:
        model: what ``build_sam2`` gives, a :class:`fastsam.FastSAM`, or a checkpoint's path or name.
        config: how objects are followed.

    Attributes:
        obj_ids: the objects, in the order of their prompts.

    Raises:
        WeightsError: the weights cannot be had or used.
    """

    def __init__(self, model: Sam | FastSAM | str | None = None, config: VideoConfig | None = None) -> None:
        self.model = model if isinstance(model, Sam) else Sam(core_of(model))
        self._config = config or VideoConfig()
        self.reset_state()

    @property
    def device(self) -> Any:
        """Where the network runs, as a ``torch.device``."""
        return self.model.device

    def reset_state(self) -> None:
        """Forget frames and objects."""
        self.obj_ids: list[Hashable] = []
        self._frame: Frame | None = None
        self._session: Session | None = None
        self._given: dict[Hashable, BoolArray] = {}
        self._following: Following | None = None

    def load_first_frame(self, img: Any) -> None:
        """Begin with a frame: an (H, W, 3) RGB array or a PIL image.

        Raises:
            ImageError: it cannot be read.
        """
        frame = read_frame(img)
        self.reset_state()
        self._frame = frame

    def add_new_prompt(
        self,
        frame_idx: int,
        obj_id: Hashable,
        points: Any = None,
        labels: Any = None,
        bbox: Any = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
    ) -> tuple[int, list[Hashable], Any]:
        """Say where an object is in the first frame; return its number, all ids and their logits.

        Args:
            frame_idx: 0, the first frame.
            obj_id: what the object is called.
            points: (P, 2) of (x, y) pixels.
            labels: (P,) 1 foreground, 0 background; all foreground by default.
            bbox: xyxy, (4,) or (2, 2).
            clear_old_points: True: each prompt says all about its object.
            normalize_coords: True: coordinates are pixels.

        Raises:
            NoImageError: there is no first frame.
            PromptError: there is no prompt, or one does not fit.
        """
        if not (clear_old_points and normalize_coords):
            raise PromptError("add_new_prompt: expected clear_old_points and normalize_coords to be True")
        box = None if bbox is None else np.asarray(as_array(bbox), np.float64).reshape(-1)
        coords = None if points is None else np.asarray(as_array(points), np.float64).reshape(-1, 2)
        session = self._first()
        found = answer(session, coords, labels, box, multimask=False).masks[0]
        return self.add_new_mask(frame_idx, obj_id, found)

    add_new_points = add_new_points_or_box = add_new_prompt

    def add_new_mask(self, frame_idx: int, obj_id: Hashable, mask: Any) -> tuple[int, list[Hashable], Any]:
        """Say exactly which pixels of the first frame are an object; return as :meth:`add_new_prompt`.

        Raises:
            NoImageError: there is no first frame.
            PromptError: the mask has another size.
        """
        drawn = np.asarray(as_array(mask)) > 0
        size_hw = self._first().size_hw
        if drawn.shape != size_hw:
            raise PromptError(f"mask: expected shape {size_hw}, got {drawn.shape}")
        if obj_id not in self.obj_ids:
            self.obj_ids.append(obj_id)
        self._given[obj_id] = drawn
        return frame_idx, list(self.obj_ids), self._logits(self._given, size_hw)

    def track(self, img: Any) -> tuple[list[Hashable], Any]:
        """Return all ids and their (N, 1, H, W) float32 logits in the next frame.

        Raises:
            PromptError: there are no objects.
            ImageError: the frame cannot be read.
        """
        if not self._given:
            raise PromptError("track: expected prompts first; call load_first_frame and add_new_prompt")
        if self._following is None:
            self._following = Following(core_of(self.model), self._config)
            self._following.step(self._first().frame, self._given)
        session, found = self._following.step(read_frame(img), {})
        return list(self.obj_ids), self._logits(found, session.size_hw)

    def _first(self) -> Session:
        """Return the first frame with its masks."""
        if self._frame is None:
            raise NoImageError("expected a frame first; call load_first_frame(image)")
        if self._session is None:
            self._session = core_of(self.model).open(self._frame)
        return self._session

    def _logits(self, found: dict[Hashable, BoolArray], size_hw: tuple[int, int]) -> Any:
        import torch

        empty = np.zeros(size_hw, bool)
        stack = np.stack([found.get(name, empty) for name in self.obj_ids])[:, None]
        return torch.from_numpy(np.where(stack, np.float32(LOGIT), np.float32(-LOGIT))).to(self.device)
