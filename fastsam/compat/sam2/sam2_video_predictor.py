"""SAM 2's ``SAM2VideoPredictor``: clicks, boxes and masks at any frame, then masks through the video."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM, Session
from fastsam.compat.arguments import as_array, core_of
from fastsam.compat.sam2.clip import Clip
from fastsam.compat.sam2.following import Following
from fastsam.compat.segment_anything.answers import answer
from fastsam.compat.segment_anything.low_res import LOGIT
from fastsam.compat.segment_anything.modeling.sam import Sam
from fastsam.config import VideoConfig
from fastsam.errors import PromptError
from fastsam.masks.rle import Rle, decode_rle, encode_crop

__all__ = ["InferenceState", "SAM2VideoPredictor"]

BoolArray = NDArray[np.bool_]
_SESSIONS_KEPT = 4  # frames with prompts that are kept ready for the next click


@dataclass
class _Clicks:
    """The prompts about one object in one frame, and the mask that they mean."""

    coords: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    labels: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    box: Any = None
    mask: BoolArray | None = None


class InferenceState(dict[str, Any]):
    """What a predictor knows of one video: ``num_frames``, ``video_height``, ``video_width``, ``obj_ids``."""

    def __init__(self, clip: Clip) -> None:
        height, width = clip.size_hw
        super().__init__(num_frames=clip.count, video_height=height, video_width=width, obj_ids=[])
        self.clip = clip
        self.prompts: dict[int, dict[Hashable, _Clicks]] = {}  # by frame, by object
        self.outputs: dict[int, dict[Hashable, Rle]] = {}
        self.sessions: dict[int, Session] = {}

    def clear(self) -> None:
        """Forget prompts, objects and masks."""
        self["obj_ids"].clear()
        for known in (self.prompts, self.outputs, self.sessions):
            known.clear()


class SAM2VideoPredictor:
    """SAM 2's video predictor over this package's tracker.

    Differences from SAM 2's: a prompt's answer is chosen from the masks of its frame; logits are 10 inside
    and -10 outside. Objects that are lost have empty masks until they are found again.

    Args:
        model: what ``build_sam2`` gives, a :class:`fastsam.FastSAM`, or a checkpoint's path or name.
        config: how objects are followed.

    Raises:
        WeightsError: the weights cannot be had or used.
    """

    def __init__(self, model: Sam | FastSAM | str | None = None, config: VideoConfig | None = None) -> None:
        self.model = model if isinstance(model, Sam) else Sam(core_of(model))
        self._config = config or VideoConfig()

    @classmethod
    def from_pretrained(cls, model_id: str, **_: Any) -> SAM2VideoPredictor:
        """Return a predictor of the embedded model: nothing is downloaded for ``model_id``."""
        return cls(Sam())

    @property
    def device(self) -> Any:
        """Where the network runs, as a ``torch.device``."""
        return self.model.device

    def to(self, *args: Any, **options: Any) -> SAM2VideoPredictor:
        """Move to a device and return itself."""
        self.model.to(*args, **options)
        return self

    def eval(self) -> SAM2VideoPredictor:
        """Return itself: it never trains."""
        return self

    def init_state(
        self,
        video_path: Any,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> InferenceState:
        """Open a video: a folder of images, a video file, or a list of RGB arrays; it is read bit by bit.

        Raises:
            ImageError: there is no such video, or it has no frame.
        """
        return InferenceState(Clip(video_path))

    def reset_state(self, inference_state: InferenceState) -> None:
        """Forget all prompts, objects and masks."""
        inference_state.clear()

    def add_new_points_or_box(
        self,
        inference_state: InferenceState,
        frame_idx: int,
        obj_id: Hashable,
        points: Any = None,
        labels: Any = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: Any = None,
    ) -> tuple[int, list[Hashable], Any]:
        """Say where an object is in a frame; return the masks of that frame.

        Args:
            inference_state: of :meth:`init_state`.
            frame_idx: the frame's number.
            obj_id: what the object is called.
            points: (P, 2) of (x, y).
            labels: (P,) 1 foreground, 0 background; all foreground by default.
            clear_old_points: forget earlier points about it in this frame.
            normalize_coords: coordinates are pixels; False: shares of the video's sides.
            box: xyxy.

        Returns:
            the frame's number, the ids of all objects, and their (N, 1, H, W) float32 logits.

        Raises:
            PromptError: there is no prompt, no such frame, or a prompt does not fit.
        """
        if points is None and box is None:
            raise PromptError("add_new_points_or_box: expected points or a box, got neither")
        if box is not None and not clear_old_points:
            raise PromptError(
                "add_new_points_or_box: a box goes before the points; expected clear_old_points"
            )
        state = inference_state
        kept = self._kept(state, frame_idx, obj_id)
        fresh = _Clicks() if clear_old_points else kept
        sides = np.array([1, 1] if normalize_coords else state.clip.size_hw[::-1], np.float64)
        if points is not None:
            more = np.asarray(as_array(points), np.float64).reshape(-1, 2) * sides
            marked = np.ones(len(more)) if labels is None else np.asarray(as_array(labels)).reshape(-1)
            fresh.coords = np.concatenate([fresh.coords, more])
            fresh.labels = np.concatenate([fresh.labels, marked])
        if box is not None:
            fresh.box = np.asarray(as_array(box), np.float64).reshape(-1) * np.tile(sides, 2)
        session = self._session(state, frame_idx)
        coords, marks = (fresh.coords, fresh.labels) if len(fresh.coords) else (None, None)
        fresh.mask = answer(session, coords, marks, fresh.box, multimask=False).masks[0]
        return self._noted(state, frame_idx, obj_id, fresh)

    add_new_points = add_new_points_or_box

    def add_new_mask(
        self, inference_state: InferenceState, frame_idx: int, obj_id: Hashable, mask: Any
    ) -> tuple[int, list[Hashable], Any]:
        """Say exactly which pixels of a frame are an object; return as :meth:`add_new_points_or_box`.

        Raises:
            PromptError: there is no such frame, or the mask has another size.
        """
        drawn = np.asarray(as_array(mask)) > 0
        if drawn.shape != inference_state.clip.size_hw:
            raise PromptError(f"mask: expected shape {inference_state.clip.size_hw}, got {drawn.shape}")
        self._kept(inference_state, frame_idx, obj_id)
        return self._noted(inference_state, frame_idx, obj_id, _Clicks(mask=drawn))

    def clear_all_prompts_in_frame(
        self, inference_state: InferenceState, frame_idx: int, obj_id: Hashable, need_output: bool = True
    ) -> tuple[int, list[Hashable], Any] | None:
        """Forget what was said about an object in a frame."""
        inference_state.prompts.get(frame_idx, {}).pop(obj_id, None)
        inference_state.outputs.get(frame_idx, {}).pop(obj_id, None)
        return self._shown(inference_state, frame_idx) if need_output else None

    def remove_object(
        self,
        inference_state: InferenceState,
        obj_id: Hashable,
        strict: bool = False,
        need_output: bool = True,
    ) -> tuple[list[Hashable], list[tuple[int, Any]]]:
        """Forget an object; return the ids that are left, and the logits of the frames where it had prompts.

        Raises:
            PromptError: there is no such object, and ``strict``.
        """
        state = inference_state
        if obj_id not in state["obj_ids"]:
            if strict:
                raise PromptError(f"object {obj_id!r}: expected one of {state['obj_ids']}")
            return state["obj_ids"], []
        state["obj_ids"].remove(obj_id)
        touched = [index for index, asked in sorted(state.prompts.items()) if asked.pop(obj_id, None)]
        for found in state.outputs.values():
            found.pop(obj_id, None)
        frames = [(index, self._shown(state, index)[2]) for index in touched] if need_output else []
        return state["obj_ids"], frames

    def propagate_in_video(
        self,
        inference_state: InferenceState,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[int, list[Hashable], Any]]:
        """Yield for each frame its number, the ids of all objects, and their (N, 1, H, W) float32 logits.

        Args:
            inference_state: of :meth:`init_state`.
            start_frame_idx: the first frame; the first with a prompt by default.
            max_frame_num_to_track: how many more frames; all by default.
            reverse: go backwards.

        Raises:
            PromptError: there are no prompts.
            ImageError: a frame cannot be read.
        """
        for session, _ in self.sessions(inference_state, start_frame_idx, max_frame_num_to_track, reverse):
            yield self._shown(inference_state, session.frame.index)

    def sessions(
        self,
        inference_state: InferenceState,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[Session, dict[Hashable, BoolArray]]]:
        """Yield for each frame the frame itself, and the (H, W) mask of each object.

        Arguments and errors as in :meth:`propagate_in_video`.
        """
        state = inference_state
        asked = sorted(index for index, prompts in state.prompts.items() if prompts)
        if not asked:
            raise PromptError("propagate_in_video: expected prompts first; call add_new_points_or_box")
        start = asked[0] if start_frame_idx is None else int(start_frame_idx)
        most = state["num_frames"] if max_frame_num_to_track is None else int(max_frame_num_to_track)
        if reverse:
            indices = range(start, max(start - most, 0) - 1, -1) if start > 0 else range(0)
        else:
            # What is known before the first frame leads to it.
            begin = max(
                (index for index in asked if index <= start and start not in state.outputs), default=start
            )
            indices = range(begin, min(start + most, state["num_frames"] - 1) + 1)
        with closing(self._followed(state, indices)) as frames:  # type: ignore[type-var]
            for session, found in frames:
                state.outputs[session.frame.index] = {name: _rle(mask) for name, mask in found.items()}
                if reverse or session.frame.index >= start:
                    yield session, found

    def _followed(
        self, state: InferenceState, indices: range
    ) -> Iterator[tuple[Session, dict[Hashable, BoolArray]]]:
        """Yield the masks of each frame: as prompts say, or as the tracker finds them."""
        following = Following(core_of(self.model), self._config)
        with closing(state.clip.frames(indices)) as frames:  # type: ignore[type-var]
            for k, frame in enumerate(frames):
                given: dict[Hashable, BoolArray] = {}
                if k == 0:  # what an earlier pass found here goes on from here
                    given = {
                        name: decode_rle(rle) for name, rle in state.outputs.get(frame.index, {}).items()
                    }
                for name, clicks in state.prompts.get(frame.index, {}).items():
                    if clicks.mask is not None:
                        given[name] = clicks.mask
                yield following.step(frame, given)

    def _kept(self, state: InferenceState, frame_idx: int, obj_id: Hashable) -> _Clicks:
        """Return what was said about an object in a frame before."""
        if not isinstance(frame_idx, (int, np.integer)) or not 0 <= frame_idx < state["num_frames"]:
            raise PromptError(f"frame_idx: expected 0 to {state['num_frames'] - 1}, got {frame_idx!r}")
        return state.prompts.get(int(frame_idx), {}).get(obj_id) or _Clicks()

    def _noted(
        self, state: InferenceState, frame_idx: int, obj_id: Hashable, clicks: _Clicks
    ) -> tuple[int, list[Hashable], Any]:
        """Keep a prompt with its mask, and return the frame's masks."""
        if obj_id not in state["obj_ids"]:
            state["obj_ids"].append(obj_id)
        state.prompts.setdefault(int(frame_idx), {})[obj_id] = clicks
        if clicks.mask is not None:
            state.outputs.setdefault(int(frame_idx), {})[obj_id] = _rle(clicks.mask)
        return self._shown(state, int(frame_idx))

    def _session(self, state: InferenceState, frame_idx: int) -> Session:
        """Return a frame with its masks; the last few stay ready."""
        index = int(frame_idx)
        if index not in state.sessions:
            state.sessions[index] = core_of(self.model).open(state.clip.frame(index))
            while len(state.sessions) > _SESSIONS_KEPT:
                state.sessions.pop(next(iter(state.sessions)))
        return state.sessions[index]

    def _shown(self, state: InferenceState, index: int) -> tuple[int, list[Hashable], Any]:
        """Return a frame's number, all ids, and their logits there."""
        import torch

        ids = list(state["obj_ids"])
        logits = np.full((len(ids), 1, *state.clip.size_hw), -LOGIT, np.float32)
        for row, obj_id in enumerate(ids):
            rle = state.outputs.get(index, {}).get(obj_id)
            if rle is not None:
                logits[row, 0][decode_rle(rle)] = LOGIT
        return index, ids, torch.from_numpy(logits).to(self.device)


def _rle(mask: BoolArray) -> Rle:
    """Return a mask as COCO's compressed RLE."""
    return encode_crop(mask, 0, 0, (mask.shape[0], mask.shape[1]))
