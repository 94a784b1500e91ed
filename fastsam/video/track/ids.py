"""Stable ids for all masks: ultralytics' BoT-SORT, which is told by masks and looks which two are one.

BoT-SORT (arXiv 2206.14651) keeps the tracks: birth, loss, Kalman filter, assignment, re-entry. What differs
is the distance: IoU of *masks*, the old ones moved along with the optical flow, and the cosine of the
network's features pooled over the masks. Everything masks are nested: boxes alone confuse a part with its
whole.
"""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.needed import needed
from fastsam.video.track.appearance import Projector
from fastsam.video.track.grid_frame import FloatArray, GridFrame

__all__ = ["MaskTracker"]

BoolArray = NDArray[np.bool_]
_SAME_LOOK = 0.9  # cosine from which on a lost mask may come back elsewhere
_SAME_SIZE = 0.5  # and the least ratio of the two areas
_LEAST_UNLIKE = 0.4  # of the worst distance: what was lost does not take the mask of what is still there
_LOOK_SHARE = 0.2  # of the look in the distance of two masks that overlap
_HELD = 4  # frames for which a mask that is not found is held where it was
_HELD_AFTER = 3  # frames in which it must have been seen
_STILL_LOOKS = 0.7  # cosine of what is there now with the track
_STILL_THERE = 0.6  # share of its cells that are still in the frame
_TAKEN = 0.5  # IoU from which on another mask stands in its place
_WORST = 0.75  # no match beyond this distance: masks that share a quarter, and look alike


class MaskTracker:
    """Gives each mask of a frame the id that it had in the frames before.

    Args:
        conf: masks with a higher score may become objects; others only continue them.
        forget_after_frames: frames that a mask may be out of sight and still come back with its id.
        project: gives the features of frames; shared with whoever needs them, too.

    Raises:
        MissingPackageError: ultralytics' trackers need ``lap``.
    """

    def __init__(self, conf: float, forget_after_frames: int, project: Projector | None = None) -> None:
        self._project = project or Projector()
        self._tracker: Any = _tracker_class()(
            SimpleNamespace(
                track_high_thresh=conf,
                track_low_thresh=0.0,
                new_track_thresh=conf,
                track_buffer=forget_after_frames,
                match_thresh=_WORST,
                fuse_score=False,
                gmc_method="none",  # the flow moves the masks
                proximity_thresh=0.5,
                appearance_thresh=0.5,
                with_reid=True,
                model="auto",
            )
        )

    def update(self, scene: GridFrame, flow: FloatArray | None) -> NDArray[np.int64]:
        """Return (N,) the id of each mask of a frame; 0 for those that are not tracked (yet).

        Args:
            scene: the frame.
            flow: from it to the frame before (:func:`fastsam.video.track.grid_frame.flow_between`).
        """
        masks = scene.masks
        ids = np.zeros(len(masks), np.int64)
        looks = self._project.appearance(scene)
        looks[~looks.any(axis=1)] = looks.shape[1] ** -0.5  # of masks that cover nothing: BoT-SORT needs some
        self._tracker.look_at(scene, flow)
        boxes = np.asarray(masks.boxes_xyxy, np.float64)
        middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        found = _Found(np.concatenate([middle, size], axis=1), np.asarray(masks.scores), boxes)
        rows = self._tracker.update(found, None, looks)
        for row in rows:
            ids[int(row[-1])] = int(row[4])
        self._tracker.remember(scene)
        return ids

    def held(self, scene: GridFrame, ids: NDArray[np.int64]) -> dict[int, tuple[BoolArray, float]]:
        """Return tracks that have no mask in a frame and still seem to be there: their cells and scores.

        A network finds many things in most frames, not in all. What it missed is held for some frames where
        the flow takes it, if that looks like it and no other mask has taken its place.

        Args:
            scene: the frame that was told last.
            ids: (N,) the ids of its masks.
        """
        found = {}
        shown = scene.flat_cells[ids > 0]
        areas = scene.areas[ids > 0]
        for track in self._tracker.lost_stracks:
            since = self._tracker.frame_id - track.end_frame
            if track.cells is None or since > _HELD or track.end_frame - track.start_frame < _HELD_AFTER:
                continue
            cells = track.cells.reshape(scene.grid_hw)
            area = int(np.count_nonzero(cells))
            if area < max(_STILL_THERE * track.area, 4):
                continue
            shared = shown @ track.cells.astype(np.float32)
            union = areas + area - shared
            if (shared > _TAKEN * union).any():
                continue
            if self._project.look(scene, cells) @ track.smooth_feat > _STILL_LOOKS:
                found[int(track.track_id)] = cells, float(track.score)
        return found

    def move(self, flow: FloatArray | None, grid_hw: tuple[int, int]) -> None:
        """Move what is remembered of the masks along, past a frame whose masks were not looked for."""
        self._tracker.carry(flow, grid_hw)

    @property
    def alive(self) -> set[int]:
        """Ids that are seen, or may come back."""
        tracks = (*self._tracker.tracked_stracks, *self._tracker.lost_stracks)
        return {int(track.track_id) for track in tracks}

    def rename(self, names: dict[int, int]) -> dict[int, int]:
        """Give tracks the ids that they had in an earlier run; return the new id of each.

        Args:
            names: id now -> id then; other tracks get ids that are in neither.
        """
        given = {}
        tracks = [*self._tracker.tracked_stracks, *self._tracker.lost_stracks]
        after = max([*names.values(), *(int(track.track_id) for track in tracks), 0]) + 1
        for track in tracks:
            then = names.get(int(track.track_id))
            if then is None:
                then, after = after, after + 1
            given[int(track.track_id)] = then
            track.track_id = then
        self._tracker._ids = itertools.count(after)
        return given


class _Found:
    """Boxes as ultralytics' trackers take them."""

    def __init__(self, xywh: NDArray[Any], conf: NDArray[Any], xyxy: NDArray[Any]) -> None:
        self.xywh, self.conf, self.xyxy = xywh, conf, xyxy
        self.cls = np.zeros(len(conf))

    def __len__(self) -> int:
        return len(self.conf)

    def __getitem__(self, key: Any) -> _Found:
        return _Found(self.xywh[key], self.conf[key], self.xyxy[key])


def _tracker_class() -> Any:
    """Return BoT-SORT with our distance; made here since ultralytics is imported late."""
    with needed("lap", "give masks ids that stay"):  # ultralytics would install it, in the middle of a run
        import lap  # noqa: F401
    with needed("ultralytics", "give masks ids that stay"):
        from ultralytics.trackers import bot_sort

    base: Any = bot_sort.BOTSORT  # its tracks get two attributes more

    class MaskBoTSORT(base):  # type: ignore[misc]
        """BoT-SORT by masks."""

        grid_hw = (1, 1)  # of what is remembered

        def look_at(self, scene: GridFrame, flow: FloatArray | None) -> None:
            """Take the next frame, and move the masks of the tracks there."""
            self.scene = scene
            self.carry(flow, scene.grid_hw)

        def carry(self, flow: FloatArray | None, grid_hw: tuple[int, int]) -> None:
            """Move the masks of the tracks along with the flow."""
            index = (
                _moved_index(flow, grid_hw) if flow is not None else _stretched_index(self.grid_hw, grid_hw)
            )
            grown = np.prod(grid_hw) / np.prod(self.grid_hw)
            for track in (*self.tracked_stracks, *self.lost_stracks):
                if track.cells is not None:
                    track.cells = np.where(index >= 0, track.cells[index], False)
                track.area *= grown
            self.grid_hw = grid_hw

        def remember(self, scene: GridFrame) -> None:
            """Keep the masks of the tracks that were seen."""
            flat = scene.cells.reshape(len(scene.masks), -1) if len(scene.masks) else scene.cells
            for track in self.tracked_stracks:
                if track.end_frame == self.frame_id:
                    track.cells, track.area = flat[track.idx], float(scene.areas[track.idx])
            for track in self.removed_stracks:
                track.cells = None

        def get_dists(self, tracks: list[Any], detections: list[Any]) -> NDArray[np.float32]:
            """Return (tracks, detections) distances in 0..1."""
            shape = (len(tracks), len(detections))
            if 0 in shape:
                return np.ones(shape, np.float32)
            rows = [detection.idx for detection in detections]
            theirs, their_area = self.scene.flat_cells[rows], self.scene.areas[rows]
            nothing = np.zeros(theirs.shape[1], bool)
            ours = np.stack([nothing if t.cells is None else t.cells for t in tracks]).astype(np.float32)
            our_area = ours.sum(axis=1)
            shared = ours @ theirs.T
            union = our_area[:, None] + their_area[None] - shared
            overlap = np.divide(shared, union, out=np.zeros(shape, np.float32), where=union > 0)
            old = np.stack([track.smooth_feat for track in tracks])
            new = np.stack([detection.curr_feat for detection in detections])
            looks = np.clip(old @ new.T, 0, 1)
            near = 1 - (1 - _LOOK_SHARE) * overlap - _LOOK_SHARE * looks
            near[overlap <= 0] = 1
            sizes = np.array([track.area for track in tracks])[:, None] / np.maximum(their_area, 1)[None]
            alike = (looks > _SAME_LOOK) & (np.minimum(sizes, 1 / np.maximum(sizes, 1e-6)) > _SAME_SIZE)
            lost = np.array([track.end_frame < self.frame_id - 1 for track in tracks])[:, None]
            unlike = np.maximum((1 - looks) / (1 - _SAME_LOOK), _LEAST_UNLIKE)
            again = np.where(alike & lost, _WORST * unlike, 1)
            return np.asarray(np.minimum(near, again), np.float32)

        def init_track(self, results: Any, img: Any = None) -> list[Any]:
            """Return a track for each mask, which knows nothing of its cells yet."""
            tracks = super().init_track(results, img)
            for track in tracks:
                track.cells, track.area = None, 0.0
            return list(tracks)

    return MaskBoTSORT


def _stretched_index(before_hw: tuple[int, int], grid_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Return (rows x columns,) from which cell each cell comes where a grid is stretched to another shape."""
    rows, columns = ((np.arange(new) + 0.5) * old / new for old, new in zip(before_hw, grid_hw, strict=True))
    index = rows.astype(np.int64)[:, None] * before_hw[1] + columns.astype(np.int64)[None]
    return np.asarray(index.reshape(-1))


def _moved_index(flow: FloatArray, grid_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Return (rows x columns,) from which cell each cell comes; -1 from outside."""
    rows, columns = grid_hw
    x = np.rint(np.arange(columns)[None] + flow[..., 0]).astype(np.int64)
    y = np.rint(np.arange(rows)[:, None] + flow[..., 1]).astype(np.int64)
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    return np.asarray(np.where(inside, y * columns + x, -1).reshape(-1))
