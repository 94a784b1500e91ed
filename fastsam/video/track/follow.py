"""Following what a user pointed at: from one mask in one frame to the object's mask in each frame after it.

For each frame there are two opinions on where the object is: its last mask moved along with the optical flow,
and a classifier of its looks (:mod:`fastsam.video.track.appearance`). Together they give each cell a
probability. The everything mask, or the union of several, that fits it best is the object; where none fits,
the probability itself is cut at one half. An object of which neither is left is lost; the looks find it
again.

Masks that were seen beside the object, at a place of their own, are known not to be it: their ids
(:mod:`fastsam.video.track.ids`) tell when two cross.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.video.track.appearance import Projector, TargetModel
from fastsam.video.track.choice import Guess, best_masks
from fastsam.video.track.gallery import Gallery
from fastsam.video.track.grid_frame import FloatArray, GridFrame, follow_flow, shared_cells, to_size

__all__ = ["Followed", "Follower", "Sight", "pixels"]

BoolArray = NDArray[np.bool_]
# Chosen on clips made from training photographs (docs/experiments.md), never on the clips of the evaluation.
_BLUR = 4.0  # cells by which the moved mask is uncertain
_LEAST, _LEAST_LOST, _MOST = 0.02, 0.15, 0.98  # prior probability anywhere; of a lost object; at most
_LOOKS = 5.0  # log odds of a sure look
_OTHER_FRAMES = 3  # a mask that was seen beside the object in so many frames is something else
_PART_FRAMES, _INSIDE = 2, 0.8  # a mask that lay within it, by so much of itself, in so many frames is a part
_OTHER_ODDS = 1.5  # log odds that its cells are not the object
_ACCEPT = 0.4  # least score of a candidate
_TRUST = 0.5  # from which on a candidate is believed whatever it looks like, and learnt from
_MASK_ODDS, _SURE_ODDS = (
    2.0,
    10.0,
)  # log odds of a cell inside the chosen mask, and more by its score above .5
_ALIKE, _ALIKE_AGAIN = 0.0, 0.3  # least mean look where no mask is believed; of an object that was lost
# Likeness to what an object has looked like (fastsam.video.track.gallery).
_STAY = 0.5  # by the features of cells: least of one that is seen
_AGAIN_SOON, _AGAIN = 0.6, 0.74  # by both features: least of one that was lost just now, and before
_MAY_BE = 0.5  # by the features of cells: least of a mask that is looked at closer
_SOON = 5  # frames
_LEAST_CELLS = 8
_SAME_SHARE = 0.5  # two masks that share more than this of the smaller one are of one object
_LIKE = 0.1  # least mean look of a mask that may be a lost object
_OTHERS_KEPT = 512  # ids of neighbours that are remembered


@dataclass(frozen=True, eq=False)
class Sight:
    """An object in one frame.

    Attributes:
        crop: its pixels.
        score: in 0..1, how well masks, motion and looks agree.
    """

    crop: Crop
    score: float


@dataclass(eq=False)
class Followed:
    """What is known of one object.

    Attributes:
        object_id: its number.
        soft: (rows, columns) where it was, in 0..1.
        model: tells its cells from those around it.
        gallery: what it has looked like.
        missing: frames since it was seen.
        score: how sure its last sight was.
        nested: objects that it lies in, or that lie in it, or that are the same.
        crop: its exact pixels, where they are known; else what is soft tells them.
        area: cells that it had when it was pointed at; while it is small, in the last frame.
    """

    object_id: int
    soft: FloatArray
    model: TargetModel
    gallery: Gallery = field(default_factory=Gallery)
    missing: int = 0
    score: float = 1.0
    crop: Crop | None = None
    track_id: int = 0
    nested: set[int] = field(default_factory=set)
    others: OrderedDict[int, int] = field(default_factory=OrderedDict)
    parts: OrderedDict[int, int] = field(default_factory=OrderedDict)
    area: int = _LEAST_CELLS

    def leave(self) -> None:
        """Lose it for good reason: where it was, and what was beside it, says nothing any more."""
        self.missing, self.crop, self.track_id = max(self.missing, _SOON) + 1, None, 0
        self.soft = np.zeros_like(self.soft)
        self.others.clear()
        self.parts.clear()

    def note(self, cells: BoolArray, scene: GridFrame, ids: NDArray[np.int64]) -> None:
        """Remember which track the object is, and which are others: those that lie beside it."""
        mask = cells.reshape(-1).astype(np.float32)
        own = mask.sum(keepdims=True)
        (shared,), (overlap,) = shared_cells(mask[None], own, scene)
        inside = shared / np.maximum(np.minimum(scene.areas, own), 1)
        if len(overlap) and overlap.max() > 0.6 and ids[int(overlap.argmax())]:
            self.track_id = int(ids[int(overlap.argmax())])
        for part in ids[(ids > 0) & (shared > _INSIDE * scene.areas) & (scene.areas < own)].tolist():
            self.parts[part] = self.parts.get(part, 0) + 1
            self.parts.move_to_end(part)
        while len(self.parts) > _OTHERS_KEPT:
            self.parts.popitem(last=False)
        for other in ids[(ids > 0) & (inside < 0.1)].tolist():
            self.others[other] = self.others.get(other, 0) + 1
            self.others.move_to_end(other)
        self.others.pop(self.track_id, None)
        while len(self.others) > _OTHERS_KEPT:
            self.others.popitem(last=False)

    def are_parts(self, ids: NDArray[np.int64]) -> BoolArray:
        """Return (N,) which tracks have been seen inside the object again and again."""
        return np.array([self.parts.get(int(i), 0) >= _PART_FRAMES for i in ids], bool)

    def no_others(self, moved: BoolArray, scene: GridFrame, ids: NDArray[np.int64]) -> None:
        """Forget that masks are others where the object has moved over most of them: they are its parts."""
        if self.others and len(scene.masks):
            shared = scene.flat_cells @ moved.reshape(-1).astype(np.float32)
            for own in ids[(shared > _SAME_SHARE * scene.areas) & (ids > 0)].tolist():
                self.others.pop(own, None)


class Follower:
    """Follows objects from frame to frame; each frame is told with :meth:`step`, in order.

    Attributes:
        objects: by id.

    Args:
        project: gives the features of frames; shared with whoever needs them, too.
    """

    def __init__(self, project: Projector | None = None) -> None:
        self.objects: dict[int, Followed] = {}
        self._project = project or Projector()

    def start(
        self, object_id: int, mask: MaskSet, scene: GridFrame, ids: NDArray[np.int64] | None = None
    ) -> None:
        """Follow an object from this frame on, or correct one that is followed.

        Args:
            object_id: its number.
            mask: its mask, the first of the set.
            scene: the frame that the mask is of.
            ids: (N,) the ids of all masks of the frame, where they are known.
        """
        there = GridFrame(scene.frame, MaskSet.concatenate([mask[0]], scene.frame.size_hw))
        soft = to_size(there.cells[0].astype(np.float32), scene.grid_hw)
        if not soft.any():  # smaller than half a cell
            x1, y1, x2, y2 = mask.boxes_xyxy[0] * np.tile(np.array(scene.grid_hw[::-1]), 2)
            height, width = scene.frame.size_hw
            row = min(int((y1 + y2) / 2 / height), scene.grid_hw[0] - 1)
            soft[row, min(int((x1 + x2) / 2 / width), scene.grid_hw[1] - 1)] = 1
        known = self.objects.get(object_id)
        if known is None:
            known = self.objects[object_id] = Followed(object_id, soft, TargetModel())
        known.soft, known.missing, known.score = soft, 0, 1.0
        known.nested = self.overlaps(soft > 0.5) - {object_id}
        for other, theirs in self.objects.items():
            (theirs.nested.add if other in known.nested else theirs.nested.discard)(object_id)
        known.area = int(np.count_nonzero(soft > 0.5))
        known.crop = mask.crop(0)
        known.model.learn(self._project(scene), soft, scene.coarse_hw, shown=True)
        self._remember(known, soft > 0.5, scene, shown=True)
        known.note(soft > 0.5, scene, np.zeros(len(scene.masks), np.int64) if ids is None else ids)

    def stop(self, object_id: int) -> None:
        """Follow an object no longer."""
        self.objects.pop(object_id, None)

    def step(
        self, scene: GridFrame, flow: FloatArray | None, ids: NDArray[np.int64], cut: bool = False
    ) -> dict[int, Sight]:
        """Return where the objects are in the next frame; those that are lost are left out.

        Args:
            scene: the frame.
            flow: from it to the frame before.
            ids: (N,) the id of each mask of the frame, 0 for none.
            cut: another scene begins (:func:`fastsam.video.track.cuts.is_cut`): an object is lost, unless
                something looks like it.
        """
        if cut:
            for known in self.objects.values():
                known.leave()
        found: dict[int, Sight] = {}
        guesses: dict[int, Guess] = {}
        for object_id, known in self.objects.items():
            sight = self._by_track(known, scene, ids) if known.area < _LEAST_CELLS else None
            if sight is None:
                guesses[object_id] = self._guess(known, scene, flow, ids)
            else:
                found[object_id] = sight
        self._compete(guesses)
        for object_id, guess in guesses.items():
            self._choose(self.objects[object_id], guess, scene, ids)
        self._compete(guesses)
        for object_id, guess in guesses.items():
            sight = self._settle(self.objects[object_id], guess, scene, ids)
            if sight is not None:
                found[object_id] = sight
        return found

    def move(self, scene: GridFrame, flow: FloatArray | None) -> dict[int, Sight]:
        """Return where the flow takes the objects in a frame whose masks were not looked for."""
        found = {}
        for object_id, known in self.objects.items():
            known.soft, known.crop = follow_flow(known.soft, flow, scene.grid_hw), None
            if known.missing == 0 and np.count_nonzero(known.soft > 0.5):
                found[object_id] = Sight(pixels(known.soft - 0.5, scene), float(known.soft.max()))
        return found

    def overlaps(self, cells: BoolArray) -> set[int]:
        """Return the objects in sight that share most of the smaller of the two with a mask."""
        found = set()
        for object_id, known in self.objects.items():
            there = known.soft > 0.5
            least = min(np.count_nonzero(there), np.count_nonzero(cells))
            if known.missing == 0 and least and np.count_nonzero(there & cells) > _SAME_SHARE * least:
                found.add(object_id)
        return found

    def likest(self, cells: BoolArray, scene: GridFrame, among: set[int]) -> int | None:
        """Return which of some lost objects a mask looks like, None for none of them."""
        best: tuple[float, int] | None = None
        for object_id in among & set(self.objects):
            known = self.objects[object_id]
            if known.missing and cells.any():
                looks = known.model.score(self._project(scene), scene.coarse_hw, scene.grid_hw)
                best = max(best or (_LIKE, 0), (float(looks[cells].mean()), object_id))
        return best[1] if best and best[1] else None

    def where(self, scene: GridFrame) -> dict[int, Sight]:
        """Return where the objects are in the frame that was told last; those that are lost are left out."""
        found = {}
        for object_id, known in self.objects.items():
            if known.missing == 0 and (known.soft > 0.5).any():
                found[object_id] = Sight(known.crop or pixels(known.soft - 0.5, scene), known.score)
        return found

    def _guess(
        self, known: Followed, scene: GridFrame, flow: FloatArray | None, ids: NDArray[np.int64]
    ) -> Guess:
        """Return where motion and looks say that an object is."""
        moved = follow_flow(known.soft, flow, scene.grid_hw)
        if known.missing:
            again = self._likest_mask(known, scene)
            moved = moved if again is None else scene.cells[again].astype(np.float32)
        # What is small would be blurred away.
        blur = float(np.clip(0.5 * np.sqrt(np.count_nonzero(moved > 0.5)), 1, _BLUR))
        blurred = np.asarray(cv2.GaussianBlur(moved, (0, 0), blur), np.float32)
        looks = known.model.score(self._project(scene), scene.coarse_hw, scene.grid_hw)
        least = _LEAST if known.missing == 0 else min(_LEAST_LOST, _LEAST * (1 + known.missing))
        prior = np.clip(blurred, least, _MOST)
        odds = np.asarray(np.log(prior / (1 - prior)) + _LOOKS * looks, np.float32)
        known.no_others(moved > 0.5, scene, ids)
        beside = np.array([known.others.get(int(i), 0) >= _OTHER_FRAMES for i in ids], bool)
        if beside.any():
            odds -= _OTHER_ODDS * scene.cells[beside].any(axis=0)
        return Guess(moved > 0.5, blurred, looks, odds, beside)

    def _compete(self, guesses: dict[int, Guess]) -> None:
        """Leave each cell to the object that it is most probably of; one of two that nest takes none away."""
        before = {object_id: guess.odds for object_id, guess in guesses.items()}
        for object_id, guess in guesses.items():
            nested = self.objects[object_id].nested
            rivals = [odds for other, odds in before.items() if other != object_id and other not in nested]
            if rivals:
                guess.odds = guess.odds - np.maximum(np.max(rivals, axis=0), 0)

    def _settle(
        self, known: Followed, guess: Guess, scene: GridFrame, ids: NDArray[np.int64]
    ) -> Sight | None:
        """Return the object's pixels and learn from them, or note that it is lost."""
        cells = guess.odds > 0
        area = np.count_nonzero(cells)
        least_cells = min(_LEAST_CELLS, max(known.area // 2, 1))  # what is small may be small again
        # too few cells to learn looks from
        unsure = known.area < _LEAST_CELLS and guess.score < _ACCEPT
        alike = _ALIKE if known.missing == 0 else _ALIKE_AGAIN
        unlike = area > 0 and guess.score <= _TRUST and guess.looks[cells].mean() < alike
        if area < least_cells or unsure or unlike or not self._is_it(known, cells, scene):
            known.missing += 1
            known.crop = None
            known.soft = np.asarray(0.9 * guess.blurred, np.float32)
            return None
        known.missing, known.crop = 0, None
        known.soft = cells.astype(np.float32)
        if guess.score > _TRUST:
            known.model.learn(self._project(scene), known.soft, scene.coarse_hw, shown=False)
            known.note(cells, scene, ids)
            self._remember(known, cells, scene)
        likeness = float(np.clip(guess.looks[cells].mean(), 0, 1)) * _ACCEPT
        known.score = float(np.clip(guess.score if guess.score >= _ACCEPT else likeness, 0, 1))
        return Sight(pixels(guess.odds, scene), known.score)

    def _by_track(self, known: Followed, scene: GridFrame, ids: NDArray[np.int64]) -> Sight | None:
        """Return the mask that has the object's id: a few cells tell too little of its looks."""
        rows = np.flatnonzero((ids == known.track_id) & (ids > 0))
        if len(rows) == 0:
            return None
        row = int(rows[0])
        cells = scene.cells[row]
        known.missing, known.score, known.crop = 0, _TRUST, scene.masks.crop(row)
        known.soft, known.area = cells.astype(np.float32), int(np.count_nonzero(cells))
        grown = known.area >= _LEAST_CELLS  # it came nearer
        known.model.learn(self._project(scene), known.soft, scene.coarse_hw, shown=grown)
        if grown:
            self._remember(known, cells, scene, shown=True)
        known.note(cells, scene, ids)
        return Sight(known.crop, known.score)

    def _remember(self, known: Followed, cells: BoolArray, scene: GridFrame, shown: bool = False) -> None:
        """Add a look to an object's gallery, if it is new."""
        near = self._project.look(scene, cells)
        if shown or known.gallery.is_new(near):
            known.gallery.add(near, scene.deep(cells[None])[0], shown)

    def _likest_mask(self, known: Followed, scene: GridFrame) -> int | None:
        """Return the mask that may be a lost object, by its looks alone; None where nothing is like it."""
        near = self._project.appearance(scene)
        rows = np.flatnonzero((known.gallery.near(near) > _MAY_BE) & near.any(axis=1))
        if len(rows) == 0:
            return None
        likeness = known.gallery.likeness(near[rows], scene.deep(scene.cells[rows]))
        best = int(likeness.argmax())
        return int(rows[best]) if likeness[best] > _AGAIN else None

    def _is_it(self, known: Followed, cells: BoolArray, scene: GridFrame) -> bool:
        """Tell whether a region looks enough like an object: more is asked of one that was lost."""
        near = self._project.look(scene, cells)[None]
        if not near.any():  # less than a coarse cell
            return True
        if known.missing == 0:
            return bool(known.gallery.near(near)[0] > _STAY)
        least = _AGAIN_SOON if known.missing <= _SOON else _AGAIN
        return bool(known.gallery.likeness(near, scene.deep(cells[None]))[0] > least)

    def _choose(self, known: Followed, guess: Guess, scene: GridFrame, ids: NDArray[np.int64]) -> None:
        """Find the masks that together are the object, and how well they fit; that moves the guess."""
        rows, guess.score = best_masks(
            guess, scene, (ids == known.track_id) & (ids > 0), known.are_parts(ids)
        )
        if rows is not None and guess.score >= _ACCEPT:
            # A part that was taken for the whole would make itself true: what the network is sure of weighs
            # more than what motion and looks say of cells that the object has newly got.
            sure = max(float(scene.masks.scores[rows].max()) - 0.5, 0)
            guess.odds = guess.odds + (_MASK_ODDS + _SURE_ODDS * sure) * (2 * scene.soft_cells(rows) - 1)


def pixels(values: FloatArray, scene: GridFrame) -> Crop:
    """Return the pixels of a grid's positive part: bilinear, cut at 0, within the cells around it."""
    rows, columns = np.nonzero(values > 0)
    grid_h, grid_w = values.shape
    height, width = scene.frame.size_hw
    scale_y, scale_x = height / grid_h, width / grid_w
    y0, y1 = int(max(rows.min() - 1, 0) * scale_y), min(int(np.ceil((rows.max() + 2) * scale_y)), height)
    x0, x1 = int(max(columns.min() - 1, 0) * scale_x), min(int(np.ceil((columns.max() + 2) * scale_x)), width)
    # from a pixel of the window to its place on the grid, both counted from the middles
    to_grid = np.array(
        [
            [1 / scale_x, 0, (x0 + 0.5) / scale_x - 0.5],
            [0, 1 / scale_y, (y0 + 0.5) / scale_y - 0.5],
        ]
    )
    way = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(values, to_grid, (x1 - x0, y1 - y0), flags=way, borderMode=cv2.BORDER_REPLICATE)
    inside = np.asarray(patch > 0)
    if not inside.any():  # cells smaller than a pixel lie between the middles of pixels
        inside.flat[int(patch.argmax())] = True
    return Crop(x0, y0, inside)
