"""Points on an earlier answer: they add to it and cut from it, and what they do not speak of stays.

SAM's ``mask_input`` is the model, without a network: the answer is the earlier one,

1. joined with what the foreground points outside it would select by themselves
   (:mod:`fastsam.prompts.point`);
2. cut by the mask under each background point inside it: one that spares all foreground points and holds
   less than half of the answer; if there is none, less than 0.8 (what holds more is the answer itself);
3. unchanged where no mask can do either, and the reason says so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.crop import Crop
from fastsam.masks.levels import SAME_IOU
from fastsam.masks.maskset import MaskSet
from fastsam.masks.region import Region
from fastsam.masks.selection import Selection
from fastsam.prompts.mask import rasterise
from fastsam.prompts.point import answer_object, checked, click_prior, erase
from fastsam.prompts.ranking import best_row, ranked_rows
from fastsam.prompts.spec import MaskLike, Points
from fastsam.prompts.wording import counted

__all__ = ["answer"]

Xy = NDArray[np.float64]
_HALF = 0.5


def answer(masks: MaskSet, prompt: Points, previous: MaskLike) -> Selection:
    """Return the earlier answer as the points change it; its score is the share of points it suits.

    Raises:
        PromptError: a point is outside the image, no point counts, or the earlier answer has another size.
    """
    foreground, background = checked(prompt.objects[0], masks.size_hw)
    before = rasterise(previous, masks.size_hw)
    pixels = before.copy()
    notes = [*_add(masks, pixels, foreground, background), *_cut(masks, pixels, foreground, background)]
    right = [*_under(pixels, foreground), *~_under(pixels, background)]
    same = "unchanged" if np.array_equal(pixels, before) else "changed"
    reason = "; ".join([f"previous answer, {same}", *(notes or ["it agrees with the points already"])])
    return _selection(masks, pixels, float(np.mean(right)), reason)


def _under(pixels: NDArray[np.bool_], points: Xy) -> NDArray[np.bool_]:
    """Return (P,) which points lie on true pixels."""
    x, y = np.floor(points).astype(np.int64).T
    return np.asarray(pixels[y, x], bool)


def _add(masks: MaskSet, pixels: NDArray[np.bool_], foreground: Xy, background: Xy) -> list[str]:
    """Join what foreground points outside ``pixels`` mean to them; return what was done."""
    outside = foreground[~_under(pixels, foreground)]
    if len(outside) == 0:
        return []
    for found in answer_object(masks, outside, background)[0][:1]:
        (found.crop or masks.crop(found.row)).paste(pixels)
    missed = int(np.count_nonzero(~_under(pixels, outside)))
    return [
        *(
            [f"added the mask under {counted(len(outside) - missed, 'point')} outside it"]
            if missed < len(outside)
            else []
        ),
        *([f"{counted(missed, 'point')} outside it on no mask that can be added"] if missed else []),
    ]


def _cut(masks: MaskSet, pixels: NDArray[np.bool_], foreground: Xy, background: Xy) -> list[str]:
    """Cut the masks under background points inside ``pixels`` from them; return what was done."""
    inside = background[_under(pixels, background)]  # sorted, as in the prompt
    if len(inside) == 0:
        return []
    whole = Region.from_mask(pixels)
    spares = ~masks.hits(foreground).any(axis=1)
    for point in inside:
        under = masks.hits(point[None])
        prior = np.where(spares & under[:, 0], click_prior(masks, point[None], under), np.float32(-1))
        cutters = [masks.crop(row) for row in ranked_rows(masks, prior) if prior[row] >= 0]
        for most in (_HALF, SAME_IOU):
            fits = [crop for crop in cutters if whole.shared_px(*crop) < most * whole.area_px]
            if any(_erased(pixels, crop) for crop in fits):
                break
    stuck = int(np.count_nonzero(_under(pixels, inside)))
    return [
        *(
            [f"cut away what is under {counted(len(inside) - stuck, 'background point')}"]
            if stuck < len(inside)
            else []
        ),
        *([f"{counted(stuck, 'background point')} on no mask that can be cut away"] if stuck else []),
    ]


def _erased(pixels: NDArray[np.bool_], crop: Crop) -> bool:
    """Clear the pixels of a mask; False, and nothing is done, where none would be left."""
    left = pixels.copy()
    erase(left, 0, 0, crop)
    if not left.any():
        return False
    pixels[:] = left
    return True


def _selection(masks: MaskSet, pixels: NDArray[np.bool_], score: float, reason: str) -> Selection:
    """Return the pixels as a selection: the row that has just these, or an edited mask of the row nearest."""
    region = Region.from_mask(pixels)
    ious = masks.ious(region)
    row = best_row(masks, ious)
    if row is None or ious[row] <= 0:
        row = -1
    else:
        crop = masks.crop(row)
        if region.shared_px(*crop) == region.area_px == np.count_nonzero(crop.patch):
            return Selection.of(masks, [row], [score], reason)
    cropped = Crop(region.x0, region.y0, pixels[region.y0 : region.y1, region.x0 : region.x1])
    return Selection.edited_masks(masks, [cropped], [row], [score], reason)
