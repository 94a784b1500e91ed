"""Frames with all their masks, in order -> :class:`Tracked`: ids for everything, or the objects of prompts.

No thread and no source: :mod:`fastsam.video.stream` brings the frames.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fastsam.config import VideoConfig
from fastsam.errors import PromptError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts import MaskLike, Points, Prompt
from fastsam.video.track.appearance import Projector
from fastsam.video.track.cuts import is_cut
from fastsam.video.track.follow import Follower, Sight, pixels
from fastsam.video.track.grid_frame import FloatArray, GridFrame, flow_between, follow_flow, shared_cells
from fastsam.video.track.ids import MaskTracker
from fastsam.video.track.object_log import ObjectLog
from fastsam.video.track.persistent import PersistentPrompt
from fastsam.video.track.tracked import Tracked

__all__ = ["FrameView", "Tracking"]

IntArray = NDArray[np.int64]
_MARGIN = 0.5  # of an object's sides around it: what it may move, and what it is told from
_LEAST_PART = 0.1  # of the frame's longer side: the least that a side counts as
_MOST_PART = 0.5  # of the frame: beyond, the whole is looked at
_PROMPT_SHOWN = 80  # letters of a prompt that are kept
_RENAME_IOU = 0.5  # masks of one frame, found twice, that are the same


class FrameView(Protocol):
    """One frame with all its masks, as a session is."""

    @property
    def frame(self) -> Frame:
        """The image."""

    @property
    def masks(self) -> MaskSet:
        """All its masks."""

    @property
    def times_ms(self) -> dict[str, float]:
        """What finding them took."""

    def select(self, prompt: Prompt) -> Selection:
        """Return what a prompt means."""

    def only(self, rows: IntArray) -> Self:
        """Return the same frame with some of the masks only."""


@dataclass(frozen=True, eq=False)
class _Now:
    """The current frame."""

    view: FrameView
    scene: GridFrame
    ids: IntArray
    cut: bool = False


class Tracking:
    """Gives masks ids, and follows what prompts select; each frame is told once, in order.

    Without prompts every mask is tracked; from the first prompt on, only what prompts selected.

    Attributes:
        log: what is known of the objects over time.

    Args:
        config: how masks are followed.
    """

    def __init__(self, config: VideoConfig | None = None) -> None:
        self.config = config or VideoConfig()
        self.log = ObjectLog(self.config.trail_length)
        project = Projector()
        self._tracker = MaskTracker(self.config.conf, self.config.forget_after_frames, project)
        self._follower = Follower(project)
        self._standing: list[PersistentPrompt] = []
        self._labels: dict[int, str] = {}
        self._prompts: dict[int, str] = {}  # what selected each object
        self._prompted = False
        self._next_id = 1
        self._now: _Now | None = None
        self._scene: GridFrame | None = None  # of the last frame, whether its masks were looked for or not
        self._last: Tracked | None = None
        self._moved: dict[int, FloatArray] = {}  # softly, the masks of everything in such frames

    @property
    def not_found(self) -> dict[str, float]:
        """Texts that nothing has been selected by, each with the highest score of any mask so far."""
        return {text: best for standing in self._standing for text, best in standing.not_found.items()}

    @property
    def current(self) -> Tracked | None:
        """The last frame with what is known of it, prompts that came since included."""
        return self._last

    def step(self, view: FrameView) -> Tracked:
        """Return the ids and masks of the next frame."""
        start = time.perf_counter()
        scene = GridFrame(view.frame, view.masks)
        flow = flow_between(self._scene, scene) if self._scene is not None else None
        cut = self._scene is not None and is_cut(self._scene, scene, flow)
        ids = self._tracker.update(scene, flow)
        sights = self._follower.step(scene, flow, ids, cut)
        self._now, self._scene = _Now(view, scene, ids, cut), scene
        self._moved.clear()
        tracked_ms = 1e3 * (time.perf_counter() - start)
        start = time.perf_counter()
        for standing in self._standing:
            self._discover(standing, self.config.masks_per_text, sights)
        times = {**view.times_ms, "track": tracked_ms}
        if self._standing:
            times["prompts"] = 1e3 * (time.perf_counter() - start)
        return self._answer(view.frame, sights, times)

    def move(self, frame: Frame, times_ms: Mapping[str, float] | None = None) -> Tracked:
        """Return where motion takes everything in a frame whose masks are not looked for."""
        start = time.perf_counter()
        before, last = self._scene, self._last
        if before is None or last is None:
            raise PromptError("tracking: expected a first frame with its masks (step) before one without")
        scene = GridFrame(
            frame, MaskSet.none(frame.size_hw), before.letterbox if _alike(before, frame) else None
        )
        flow = flow_between(before, scene)
        self._tracker.move(flow, scene.grid_hw)
        sights = self._follower.move(scene, flow)
        if not self._moved:
            shown = GridFrame(before.frame, last.masks, before.letterbox)
            rows = {int(i): np.array([row]) for row, i in enumerate(last.ids)}
            self._moved = {
                i: shown.soft_cells(row) for i, row in rows.items() if i not in self._follower.objects
            }
        self._moved = {i: follow_flow(soft, flow, scene.grid_hw) for i, soft in self._moved.items()}
        scores = dict(zip(last.ids.tolist(), last.scores.tolist(), strict=True))
        for object_id, soft in self._moved.items():
            if (soft > 0.5).any():
                sights[object_id] = Sight(pixels(soft - 0.5, scene), scores.get(object_id, 0.0))
        self._scene = scene
        times = {**(times_ms or {}), "track": 1e3 * (time.perf_counter() - start)}
        return self._shown(frame, sights, times)

    def region(self, size_hw: tuple[int, int]) -> tuple[float, float, float, float] | None:
        """Return the part of the next frame in which the followed objects should be; None for all of it.

        Where an object is lost or none is followed, and where the part is most of the frame, all of it is.
        """
        last = self._last
        if last is None or not self._prompted or not len(last) or last.lost or last.frame.size_hw != size_hw:
            return None
        height, width = size_hw
        boxes = last.masks.tight_boxes()
        sides = np.maximum(boxes[:, 2:] - boxes[:, :2], _LEAST_PART * max(size_hw))
        low = np.clip((boxes[:, :2] - _MARGIN * sides).min(axis=0), 0, None)
        high = np.minimum((boxes[:, 2:] + _MARGIN * sides).max(axis=0), (width, height))
        if (high - low).prod() > _MOST_PART * height * width:
            return None
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def select(self, prompt: Prompt, object_id: int | None = None, label: str = "") -> tuple[int, ...]:
        """Follow what a prompt selects in the current frame; return the ids of the objects.

        Texts and references stand: they also select what comes into sight later. Other prompts are answered
        once, and their objects are followed whatever they look like later. Points about an object that is
        followed correct its mask.

        Args:
            prompt: what to follow.
            object_id: the number of the object; one that is followed already is corrected. Only for prompts
                that are answered once, with one answer.
            label: what to call the objects.

        Raises:
            PromptError: there is no current frame, or the prompt selects nothing in it, or not one object
                where an id is given.
        """
        _check_id(object_id)
        now = self._now
        if now is None or now.scene is not self._scene:
            raise PromptError("select: expected a current frame whose masks are known (step)")
        if prompt.is_persistent:
            return self._stand(prompt, object_id, label)
        if isinstance(prompt, Points) and object_id in self._follower.objects and prompt.previous is None:
            prompt = self._corrected(prompt, object_id)
        answer = now.view.select(prompt)
        best = [int(np.flatnonzero(answer.groups == group)[0]) for group in np.unique(answer.groups)]
        joined = [answer.masks[answer.groups == group] for group in np.unique(answer.groups)]
        if not best:
            raise PromptError(f"select: nothing to follow in frame {now.view.frame.index}: {answer.reason}")
        if object_id is not None and len(best) != 1:
            raise PromptError(f"object {object_id}: expected a prompt with one answer, got {len(best)}")
        made = []
        for row, group in zip(best, joined, strict=True):
            number = self._numbered(object_id)
            whole = group if isinstance(prompt, MaskLike) else answer.masks[row]
            self._follower.start(number, _union(whole), now.scene, now.ids)
            said = label or (answer.labels[row] if answer.labels else "")
            self._labels[number] = said or self._labels.get(number, "")
            self._prompts.setdefault(number, f"{prompt!r:.{_PROMPT_SHOWN}}")
            made.append(number)
        self._only_prompted()
        self._refresh(dict.fromkeys(made, 1.0))
        return tuple(made)

    def follow(self, mask: NDArray[np.bool_], object_id: int | None = None, label: str = "") -> int:
        """Follow exactly the (H, W) pixels of a mask of the current frame, whatever the masks say.

        Raises:
            PromptError: there is no current frame, or the mask is empty or of another size.
        """
        now = self._now
        _check_id(object_id)
        if now is None or now.scene is not self._scene:
            raise PromptError("follow: expected a current frame whose masks are known (step)")
        if mask.shape != now.view.frame.size_hw or not mask.any():
            raise PromptError(
                f"follow: expected pixels of a {now.view.frame.size_hw} mask, got shape {mask.shape}, "
                f"{int(mask.sum())} pixels"
            )
        number = self._numbered(object_id)
        self._follower.start(number, MaskSet.from_dense(mask[None]), now.scene, now.ids)
        self._labels[number] = label or self._labels.get(number, "")
        self._only_prompted()
        self._refresh({number: 1.0})
        return number

    def remove(self, object_id: int) -> None:
        """Follow an object no longer.

        Raises:
            PromptError: there is no such object.
        """
        _check_id(object_id)
        followed = self._follower.objects.get(object_id)
        if followed is None:
            known = ", ".join(map(str, sorted(self._follower.objects))) or "none is followed"
            raise PromptError(f"object {object_id}: expected the id of an object that is followed ({known})")
        for standing in self._standing:
            standing.leave(object_id, followed.track_id)
        self._follower.stop(object_id)
        self._forget(object_id)
        self._refresh({})

    def adopt(
        self,
        masks: MaskSet,
        ids: IntArray,
        labels: tuple[str, ...] | None = None,
        *,
        prompted: bool,
        prompts: Sequence[Prompt] = (),
    ) -> None:
        """Go on from the last frame of an earlier run, which was just stepped through again.

        Args:
            masks: what the earlier run found in it.
            ids: their ids.
            labels: their labels.
            prompted: the earlier run followed what prompts had selected.
            prompts: those that stand.
        """
        now = self._now
        if now is None:
            raise PromptError("adopt: expected the last frame of the earlier run to be stepped through first")
        self._next_id = max([*ids.tolist(), self._next_id - 1]) + 1
        self.log.clear()  # of the numbers that the frame had when it was stepped through again
        labels = labels or ("",) * len(ids)
        found = GridFrame(now.view.frame, masks, now.scene.letterbox)
        _, overlap = shared_cells(found.flat_cells, found.areas, now.scene)
        rows = overlap.argmax(axis=1) if overlap.size else np.zeros(0, np.int64)
        same = {int(ids[k]): int(row) for k, row in enumerate(rows.tolist()) if overlap[k, row] > _RENAME_IOU}
        if not prompted:
            names = self._tracker.rename({int(now.ids[row]): i for i, row in same.items() if now.ids[row]})
            now_ids = np.array([names.get(i, 0) for i in now.ids.tolist()], np.int64)
            self._now = replace(now, ids=now_ids)
            self._answer(now.view.frame, {}, dict(now.view.times_ms))
            return
        self._prompted = True
        for k, (object_id, label) in enumerate(zip(ids.tolist(), labels, strict=True)):
            self._follower.start(object_id, masks[k], now.scene, now.ids)
            self._labels[object_id] = label
        for prompt in prompts:
            standing = PersistentPrompt(prompt)
            standing.objects.update(i for i in ids.tolist() if len(prompts) == 1)
            self._standing.append(standing)
        self._refresh({})

    # --- inner parts ---------------------------------------------------------------------------------

    def _forget(self, object_id: int) -> None:
        self._labels.pop(object_id, None)
        self._prompts.pop(object_id, None)

    def _only_prompted(self) -> None:
        """From now on only prompts make objects, whose numbers are their own."""
        if not self._prompted:
            self.log.clear()
        self._prompted = True

    def _new_id(self) -> int:
        number, self._next_id = self._next_id, self._next_id + 1
        return number

    def _numbered(self, object_id: int | None) -> int:
        """Return the number for an object, a new one where none is given."""
        if object_id is None:
            return self._new_id()
        self._next_id = max(self._next_id, int(object_id) + 1)
        return int(object_id)

    def _stand(self, prompt: Prompt, object_id: int | None, label: str) -> tuple[int, ...]:
        if object_id is not None:
            raise PromptError(
                f"object_id {object_id}: a text or reference selects objects as they come, each gets a "
                "number of its own; leave object_id out"
            )
        standing = PersistentPrompt(prompt, label)
        sights: dict[int, Sight] = {}
        # What raises here leaves nothing behind.
        self._discover(standing, 0 if self._now is None else len(self._now.ids), sights)
        self._standing.append(standing)
        self._only_prompted()
        self._refresh({object_id: sight.score for object_id, sight in sights.items()})
        return tuple(sorted(sights))

    def _discover(self, standing: PersistentPrompt, limit: int, sights: dict[int, Sight]) -> None:
        """Follow what a standing prompt selects that is not followed yet; add it to the frame's sights."""
        now = self._now
        if now is None:
            return
        for object_id in sorted(standing.objects):
            known = self._follower.objects.get(object_id)
            if known is None or known.missing > self.config.forget_after_frames:
                standing.objects.discard(object_id)
                self._follower.stop(object_id)
                self._forget(object_id)
        found = standing.look(now.view, now.scene, now.ids, self.config.conf, limit)
        # The largest first: a part of it is then part of something that is followed.
        for row, score, label in sorted(found, key=lambda one: -now.scene.areas[one[0]]):
            cells = now.scene.cells[row]
            if self._follower.overlaps(cells):
                continue
            object_id = self._follower.likest(cells, now.scene, standing.objects) or self._new_id()
            self._follower.start(object_id, now.view.masks[row], now.scene, now.ids)
            standing.objects.add(object_id)
            self._labels[object_id] = label
            self._prompts.setdefault(object_id, f"{standing.prompt!r:.{_PROMPT_SHOWN}}")
            sights[object_id] = Sight(now.view.masks.crop(row), score)

    def _corrected(self, prompt: Points, object_id: int | None) -> Points:
        """Return points that change the mask that an object has now."""
        mask = None if self._last is None or object_id is None else self._last.mask_of(object_id)
        if mask is None or not mask.any() or len(prompt.objects) != 1:
            return prompt  # lost: the points say where it is
        clicks = prompt.objects[0]
        points = [*clicks.foreground, *clicks.background]
        labels = [1] * len(clicks.foreground) + [0] * len(clicks.background)
        return Points(points, labels, previous=MaskLike(mask))

    def _refresh(self, scores: dict[int, float]) -> None:
        """Make the current frame's answer again, now that prompts have changed."""
        scene, last = self._scene, self._last
        if scene is None:
            return
        known = {} if last is None else dict(zip(last.ids.tolist(), last.scores.tolist(), strict=True))
        crops = {} if last is None else {int(i): last.masks.crop(k) for k, i in enumerate(last.ids)}
        sights = self._follower.where(scene)
        for object_id, sight in list(sights.items()):
            score = scores.get(object_id, known.get(object_id, sight.score))
            crop = sight.crop if object_id in scores else crops.get(object_id, sight.crop)
            sights[object_id] = Sight(crop, score)
        self._shown(scene.frame, sights, {} if last is None else last.times_ms)

    def _answer(self, frame: Frame, sights: dict[int, Sight], times: dict[str, float]) -> Tracked:
        """Return the frame's masks, where its masks were looked for."""
        now = self._now
        if now is not None and not self._prompted:
            masks, ids = self._everything(now)
            tracked = Tracked(frame, masks, ids, masks.scores, times_ms=times)
            self.log.note(tracked, self._tracker.alive)
            self._last = tracked
            return tracked
        return self._shown(frame, sights, times)

    def _everything(self, now: _Now) -> tuple[MaskSet, IntArray]:
        """Return the masks that have ids, and those that were missed in this frame only."""
        shown = np.flatnonzero(now.ids > 0)
        masks, ids = now.view.masks[shown], now.ids[shown]
        held = {} if now.cut else self._tracker.held(now.scene, now.ids)
        if not held:
            return masks, ids
        crops = [pixels(np.asarray(cells - 0.5, np.float32), now.scene) for cells, _ in held.values()]
        more = MaskSet.from_crops(crops, masks.size_hw, [score for _, score in held.values()])
        joined = MaskSet.concatenate([masks, more], masks.size_hw)
        return joined, np.concatenate([ids, np.array(list(held), np.int64)])

    def _shown(self, frame: Frame, sights: dict[int, Sight], times: dict[str, float]) -> Tracked:
        """Return a frame's objects as a record, and note them."""
        order = sorted(sights)
        known = set(self._follower.objects)
        masks = MaskSet.from_crops(
            [sights[i].crop for i in order], frame.size_hw, [sights[i].score for i in order]
        )
        labels = tuple(self._labels.get(i, "") for i in order)
        tracked = Tracked(
            frame,
            masks,
            np.array(order, np.int64),
            np.array([sights[i].score for i in order], np.float32),
            labels=labels if any(labels) else None,
            lost=tuple(sorted(known - set(order))) if self._prompted else (),
            times_ms=times,
        )
        alive = known if self._prompted else self._tracker.alive
        self.log.note(tracked, alive, self._prompts)
        self._last = tracked
        return tracked


def _check_id(object_id: object) -> None:
    """Raise PromptError for what cannot be an object's number."""
    if object_id is not None and (
        isinstance(object_id, bool) or not isinstance(object_id, (int, np.integer)) or object_id < 1
    ):
        raise PromptError(f"object_id: expected a whole number above 0, got {object_id!r}")


def _alike(before: GridFrame, frame: Frame) -> bool:
    return before.frame.size_hw == frame.size_hw


def _union(masks: MaskSet) -> MaskSet:
    """Return one mask, the union of several."""
    return masks if len(masks) == 1 else MaskSet.from_dense(masks.union()[None])
