"""What the browser is sent: the photo with every mask in it as outlines, then answers to prompts."""

from __future__ import annotations

import base64
import json
import math
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.images.drawing import colours
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.page.photo.effects import View, apply_view
from fastsam.page.photo.state import Answer, Visit, brush_px
from fastsam.session import Session

__all__ = ["answer_message", "closed_message", "display_picture", "rings_of", "scene_message"]

DISPLAY_PX = 1600  # longer side of what the browser shows; files are made at the photo's own size
_HOVER_PX = 320  # longer side of the map of what is under the pointer
_OWN_SHAPES = 60  # of an answer with more masks, the outlines of the scene do
_TOLERANCE = 0.6  # of outlines, pixels of the display


def closed_message(text: str) -> str:
    """Return what tells the browser that no photo is open."""
    return _json({"kind": "closed", "text": text})


def scene_message(visit: Visit, answer: Answer, times_ms: dict[str, float]) -> str:
    """Return what the browser needs of a photo that has just been opened, and the answer to no prompt."""
    return _json(
        {
            "kind": "scene",
            "scene": _scene(visit.opened, visit.scene),
            "answer": _answer(visit, answer, times_ms),
            "look": _look(visit),
        }
    )


def answer_message(visit: Visit, answer: Answer, times_ms: dict[str, float]) -> str:
    """Return what is selected now, and by which prompts."""
    return _json({"kind": "answer", "answer": _answer(visit, answer, times_ms), "look": _look(visit)})


def _json(message: dict[str, Any]) -> str:
    """Return a message as text in which no file name looks like a tag."""
    return json.dumps(message, separators=(",", ":")).replace("<", "\\u003c")


# --- the photo --------------------------------------------------------------------------------------


def _scene(session: Session, name: str) -> dict[str, Any]:
    height, width = session.frame.size_hw
    step = _step(session.frame.size_hw)
    masks = []
    for row in range(len(session.masks)):
        crop = session.masks.store.crop(row, step)
        masks.append(_mask(session.masks, row, row, crop, step, float(session.masks.scores[row])))
    return {
        "id": name,
        "name": session.frame.name,
        "width": width,
        "height": height,
        "brush": brush_px(session.frame.size_hw),
        "image": _data_url(display_picture(session.frame.rgb)),
        "masks": masks,
        "hover": _hover(session.masks),
    }


def _step(size_hw: tuple[int, int]) -> int:
    """Return the distance of the pixels that are enough for the display."""
    return max(math.ceil(max(size_hw) / DISPLAY_PX), 1)


def display_picture(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture at the size of the display, or itself where it is not larger."""
    scale = DISPLAY_PX / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = (max(round(rgb.shape[1] * scale), 1), max(round(rgb.shape[0] * scale), 1))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _data_url(picture: NDArray[np.uint8]) -> str:
    """Return a picture as text; nothing of it lies about on the disk for others to find."""
    stream = BytesIO()
    clear = picture.shape[2] == 4
    Image.fromarray(picture).save(stream, "WEBP" if clear else "JPEG", quality=88)
    return f"data:image/{'webp' if clear else 'jpeg'};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _mask(masks: MaskSet, i: int, row: int, crop: Crop, step: int, score: float) -> dict[str, Any]:
    """Return one mask as the browser draws it; ``row`` is its number among everything."""
    area = int(np.count_nonzero(crop.patch)) * step * step
    return {
        "row": row,
        "rings": rings_of(crop, step),
        "score": round(score, 4),
        "share": round(area / (masks.size_hw[0] * masks.size_hw[1]), 5),
        "box": [round(float(edge), 1) for edge in masks.boxes_xyxy[i]],
        "at": _middle(crop, step),
    }


def rings_of(crop: Crop, step: int = 1) -> list[list[int]]:
    """Return the outlines of a mask and of its holes as x, y, x, y, ..., image pixels.

    Args:
        crop: the mask, every step-th pixel of it.
        step: the distance of those pixels.

    >>> rings_of(Crop(10, 20, np.ones((2, 3), bool)))
    [[10, 20, 10, 22, 13, 22, 13, 20]]
    """
    if not crop.patch.any():
        return []
    # Twice as large, and half a pixel wider on all sides: outlines run along the edges of pixels.
    doubled = np.pad(np.repeat(np.repeat(crop.patch.astype(np.uint8), 2, axis=0), 2, axis=1), 1)
    edges = cv2.dilate(doubled, np.ones((2, 2), np.uint8), anchor=(1, 1))
    found, _ = cv2.findContours(edges, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = []
    for ring in found:
        simple = cv2.approxPolyDP(ring, 2 * _TOLERANCE, True)[:, 0].astype(np.float64) - 1
        if len(simple) < 3:
            continue
        xy = np.rint(simple / 2 * step + (crop.x0, crop.y0)).astype(int)
        rings.append([int(value) for value in xy.reshape(-1)])
    return rings


def _middle(crop: Crop, step: int) -> list[int]:
    """Return a point deep inside a mask, for its name."""
    if not crop.patch.any():
        return [crop.x0, crop.y0]
    sparse = max(max(crop.patch.shape) // 96, 1)
    small = crop.patch[::sparse, ::sparse].astype(np.uint8)
    deep = cv2.distanceTransform(np.pad(small, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(deep.argmax()), small.shape)
    return [int(crop.x0 + x * sparse * step), int(crop.y0 + y * sparse * step)]


def _hover(masks: MaskSet) -> dict[str, Any]:
    """Return which mask a click at each place means, on a coarse grid, as runs of equal rows.

    The same weight of score and depth as :func:`fastsam.prompts.point.click_prior`, for all places at once.
    """
    height, width = masks.size_hw
    step = max(math.ceil(max(height, width) / _HOVER_PX), 1)
    grid = (math.ceil(height / step), math.ceil(width / step))
    best, winner = np.zeros(grid, np.float32), np.full(grid, -1, np.int32)
    for row in range(len(masks)):
        x0, y0, patch = masks.store.crop(row, step)
        top, left = y0 // step, x0 // step
        patch = patch[: grid[0] - top, : grid[1] - left]
        if not patch.any():
            continue
        depth = cv2.distanceTransform(np.pad(patch.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        prior = np.sqrt(masks.scores[row]) * (depth / max(depth.max(), 1.0)) ** 2
        window = (slice(top, top + patch.shape[0]), slice(left, left + patch.shape[1]))
        better = prior > best[window]
        best[window][better] = prior[better]
        winner[window][better] = row
    flat = winner.reshape(-1)
    starts = np.flatnonzero(np.diff(flat, prepend=flat[0] - 1))
    lengths = np.diff(np.append(starts, len(flat)))
    runs = np.stack([flat[starts], lengths], axis=1).reshape(-1)
    return {"width": grid[1], "height": grid[0], "step": step, "runs": runs.tolist()}


# --- the answer -------------------------------------------------------------------------------------


def _answer(visit: Visit, answer: Answer, times_ms: dict[str, float]) -> dict[str, Any]:
    session, result = visit.opened, answer.result
    step = _step(session.frame.size_hw)
    masks = []
    if (not answer.everything and len(result) <= _OWN_SHAPES) or result.edited.any():
        for i, row in enumerate(result.indices.tolist()):
            crop = result.masks.store.crop(i, step)
            one = _mask(result.masks, i, row, crop, step, float(result.scores[i]))
            masks.append({**one, "level": result.levels[i]})
    texts = {mark.text for mark in visit.marks if mark.kind == "text"}
    spent = ", ".join(f"{name} {value:.0f} ms" for name, value in times_ms.items())
    height, width = session.frame.size_hw
    found = f"{len(result)} {'mask' if len(result) == 1 else 'masks'}"
    return {
        "scene": visit.scene,
        "version": visit.version,
        "rows": result.indices.tolist(),
        "masks": _named(masks, answer, texts),
        "labels": list(session.labels.names) if session.labels is not None else None,
        "carried": [mark.words for mark in visit.carried],
        "captions": session.labels is not None
        or len(texts) > 1,  # one name for all need not be written on each
        "marks": [_mark(mark) for mark in visit.marks],
        "levels": answer.levels,
        "level": answer.level,
        "combine": visit.combine,
        "combinable": _kinds_wanted(visit) > 1,
        "picture": _preview(visit, answer),
        "text": f"{found}. {_hint(visit, answer)}",
        "times": spent,
        "alt": f"Photo {session.frame.name}, {width} by {height} pixels, {found} shown",
    }


def _named(masks: list[dict[str, Any]], answer: Answer, texts: set[str]) -> list[dict[str, Any]]:
    """Give each mask of an answer its name, where there is one."""
    names = answer.result.labels
    if names is None and len(texts) == 1:
        names = tuple(texts) * len(masks)
    return [{**one, "label": name} for one, name in zip(masks, names, strict=False)] if names else masks


def _mark(mark: Any) -> dict[str, Any]:
    return {
        "id": mark.number,
        "kind": mark.kind,
        "sign": mark.sign,
        "xy": [[round(x, 1), round(y, 1)] for x, y in mark.xy],
        "words": mark.words,
    }


def _kinds_wanted(visit: Visit) -> int:
    """Return how many prompts a visitor's marks make that could combine in two ways."""
    wanted = [mark for mark in visit.marks if mark.sign == "add" and mark.kind != "remove"]
    alone = {mark.kind for mark in wanted} & {"point", "box", "text"}
    return len(alone) + sum(mark.kind in ("scribble", "outline", "reference") for mark in wanted)


def _hint(visit: Visit, answer: Answer) -> str:
    """Return what there is to say of an answer, or to do next."""
    if visit.carried:
        return "Now open another photo: what looks like this is found there."
    if answer.everything and not len(answer.result) and visit.of_level:
        return f"This photo has no mask of level {visit.of_level}."
    if answer.everything:
        return "Click a thing to have only that." if len(answer.result) else "Lower conf to find more."
    if _kinds_wanted(visit) > 1:
        return "What any of the prompts means." if visit.combine == "any" else "What fits all of the prompts."
    reason = answer.result.reason.replace("object 0: ", "")  # all clicks are about one
    return f"{reason[:1].upper()}{reason[1:]}."


def _look(visit: Visit) -> dict[str, Any]:
    look = visit.look
    palette = colours(len(visit.opened.masks), look.seed)
    return {
        "alpha": look.alpha,
        "contours": look.contours,
        "boxes": look.boxes,
        "scores": look.scores,
        "colours": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in palette.tolist()],
    }


def _preview(visit: Visit, answer: Answer) -> str | None:
    """Return what the view makes of the selection, at the size of the display."""
    if visit.view.kind == "masks" or answer.everything or len(answer.result) == 0:
        return None
    return _data_url(selected_picture(visit.opened, answer, visit.view, small=True))


def selected_picture(
    session: Session, answer: Answer, view: View, *, small: bool = False
) -> NDArray[np.uint8]:
    """Return what a view makes of the selection, at the photo's own size unless ``small``."""
    rgb, mask = session.frame.rgb, answer.result.masks.union()
    if small:
        rgb = display_picture(rgb)
        size = (rgb.shape[1], rgb.shape[0])
        mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    return apply_view(rgb, mask, view)
