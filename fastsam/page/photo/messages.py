"""State and answer -> what the browser is sent: the photo with every mask as outlines, then answers."""

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

from fastsam.images.drawing import colours, colours_of
from fastsam.masks.crop import edge_distance
from fastsam.masks.maskset import MaskSet
from fastsam.page.photo.answer import Answer, brush_px, names_of
from fastsam.page.photo.effects import Effect, apply_effect
from fastsam.page.photo.hints import alt_text, counted, hint, kinds_wanted, ways_out
from fastsam.page.photo.outlines import mask_record, middle_of, rings_of
from fastsam.page.photo.protocol import (
    AnswerMessage,
    AnswerRecord,
    ClosedMessage,
    Hover,
    MarkRecord,
    MaskRecord,
    ObjectRecord,
    PeekMessage,
    RenderRecord,
    Scene,
    SceneMessage,
)
from fastsam.page.photo.state import KeptObject, Mark, PhotoState
from fastsam.session import Session

__all__ = [
    "answer_message",
    "closed_message",
    "display_picture",
    "peek_message",
    "scene_message",
    "selected_picture",
]

DISPLAY_PX = 1600  # longer side of what the browser shows; files are made at the photo's own size
_HOVER_PX = 320  # longer side of the map of what is under the pointer
_OWN_SHAPES = 60  # an answer with more masks is drawn with the outlines of the scene


def closed_message(text: str) -> str:
    """Return the message that no photo is open."""
    message: ClosedMessage = {"kind": "closed", "text": text}
    return _json(message)


def scene_message(state: PhotoState, answer: Answer, times_ms: dict[str, float]) -> str:
    """Return what the browser needs of a photo that was just opened, and the answer to no prompt."""
    message: SceneMessage = {
        "kind": "scene",
        "scene": _scene(state.opened, state.scene),
        "answer": _answer(state, answer, times_ms),
        "render": _render(state),
    }
    return _json(message)


def answer_message(state: PhotoState, answer: Answer, times_ms: dict[str, float]) -> str:
    """Return what is selected now, and by which prompts."""
    message: AnswerMessage = {
        "kind": "answer",
        "answer": _answer(state, answer, times_ms),
        "render": _render(state),
    }
    return _json(message)


def peek_message(state: PhotoState, xy: tuple[float, float], masks: MaskSet) -> str:
    """Return what a click at a point would select."""
    step = _step(masks.size_hw)
    rings = [ring for i in range(len(masks)) for ring in rings_of(masks.store.crop(i, step), step)]
    message: PeekMessage = {
        "kind": "peek",
        "scene": state.scene,
        "version": state.version,
        "xy": list(xy),
        "rings": rings,
    }
    return _json(message)


def _json(message: Any) -> str:
    """Return a message as text in which no file name looks like a tag."""
    return json.dumps(message, separators=(",", ":")).replace("<", "\\u003c")


# --- the photo --------------------------------------------------------------------------------------


def _scene(session: Session, name: str) -> Scene:
    height, width = session.frame.size_hw
    step = _step(session.frame.size_hw)
    masks = []
    for row in range(len(session.masks)):
        crop = session.masks.store.crop(row, step)
        masks.append(mask_record(session.masks, row, row, crop, step))
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
    """Return a picture at the size of the display, or itself if it is not larger."""
    scale = DISPLAY_PX / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = (max(round(rgb.shape[1] * scale), 1), max(round(rgb.shape[0] * scale), 1))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _data_url(picture: NDArray[np.uint8]) -> str:
    """Return a picture as text, so that no file of it lies on the disk for others to find."""
    stream = BytesIO()
    clear = picture.shape[2] == 4
    Image.fromarray(picture).save(stream, "WEBP" if clear else "JPEG", quality=88)
    return f"data:image/{'webp' if clear else 'jpeg'};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _hover(masks: MaskSet) -> Hover:
    """Return which mask a first click at each place means, on a coarse grid, as runs of equal rows.

    The same weight of score and depth as :func:`fastsam.prompts.point.click_prior`, for all places at once.
    Near edges the grid is too coarse; there the browser asks for the exact answer (``peek``).
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
        depth = edge_distance(patch, exact=False)
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


def _answer(state: PhotoState, answer: Answer, times_ms: dict[str, float]) -> AnswerRecord:
    session, result = state.opened, answer.result
    texts = {mark.text for mark in state.marks if mark.kind == "text"}
    said = hint(state, answer)
    return {
        "scene": state.scene,
        "version": state.version,
        "rows": result.indices.tolist(),
        "masks": _own_masks(state, answer),
        "objects": [_object(one, _step(session.frame.size_hw)) for one in answer.objects],
        "labels": list(session.labels.names) if session.labels is not None else None,
        "carried": [mark.words for mark in state.carried],
        # One name for all need not be written on each.
        "captions": session.labels is not None or len(texts) > 1,
        "marks": [_mark(mark) for mark in state.marks],
        "levels": list(answer.levels),
        "level": answer.level,
        "combine": state.combine,
        "combinable": kinds_wanted(state) > 1,
        "can": _possible(state, answer),
        "ways": ways_out(state, answer),
        "picture": _preview(state, answer),
        "text": f"{counted(len(result), 'mask')}. {said}" if len(result) else said,
        "times": ", ".join(f"{name} {value:.0f} ms" for name, value in times_ms.items()),
        "alt": alt_text(session, answer),
    }


def _own_masks(state: PhotoState, answer: Answer) -> list[MaskRecord]:
    """Return the masks that are drawn with outlines of their own, named if they have names."""
    result, step = answer.result, _step(state.opened.frame.size_hw)
    if (answer.everything or len(result) > _OWN_SHAPES) and not result.edited.any():
        return []
    names = names_of(state, result)
    records = []
    for i, row in enumerate(result.indices.tolist()):
        record = mask_record(result.masks, i, row, result.masks.store.crop(i, step), step)
        record["level"] = result.levels[i]
        if names is not None:
            record["label"] = names[i]
        records.append(record)
    return records


def _object(one: KeptObject, step: int) -> ObjectRecord:
    crops = [one.masks.store.crop(i, step) for i in range(len(one.masks))]
    red, green, blue = colours_of(np.array([one.number]), 0)[0].tolist()
    return {
        "id": one.number,
        "name": one.name,
        "color": f"#{red:02x}{green:02x}{blue:02x}",
        "rings": [ring for crop in crops for ring in rings_of(crop, step)],
        "at": middle_of(crops[0], step) if crops else [0, 0],
    }


def _mark(mark: Mark) -> MarkRecord:
    return {
        "id": mark.number,
        "kind": mark.kind,
        "sign": mark.sign,
        "xy": [[round(x, 1), round(y, 1)] for x, y in mark.xy],
        "words": mark.words,
    }


def _possible(state: PhotoState, answer: Answer) -> list[str]:
    """Return which buttons do something now."""
    selected = bool(state.marks) and not answer.everything and len(answer.result) > 0
    possible = {
        "undo": bool(state.past),
        "redo": bool(state.future),
        "clear": bool(state.marks),
        "keep": selected,
        "carry": selected,
    }
    return [name for name, enabled in possible.items() if enabled]


def _render(state: PhotoState) -> RenderRecord:
    render = state.render
    palette = colours(len(state.opened.masks), render.seed)
    return {
        "alpha": render.alpha,
        "contours": render.contours,
        "boxes": render.boxes,
        "scores": render.scores,
        "colors": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in palette.tolist()],
    }


def _preview(state: PhotoState, answer: Answer) -> str | None:
    """Return what the effect makes of the selection, at the size of the display."""
    nothing = answer.everything or (len(answer.result) == 0 and not answer.objects)
    if state.effect.kind == "masks" or nothing:
        return None
    return _data_url(selected_picture(state.opened, answer, state.effect, small=True))


def selected_picture(
    session: Session, answer: Answer, effect: Effect, *, small: bool = False
) -> NDArray[np.uint8]:
    """Return what an effect makes of the objects and the selection, at the photo's own size unless small."""
    rgb, mask = session.frame.rgb, answer.result.masks.union()
    for one in answer.objects:
        mask = mask | one.masks.union()
    if small:
        rgb = display_picture(rgb)
        size = (rgb.shape[1], rgb.shape[0])
        mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    return apply_effect(rgb, mask, effect)
