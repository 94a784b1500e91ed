"""How each kind of prompt is written as JSON, and read: one form a kind.

A form gets JSON that is parsed already, and the function that reads or writes the prompts inside it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.masks.coordinates import as_floats
from fastsam.masks.rle import decode_rle, encode_rle
from fastsam.prompts.reference_spec import Appearance, Example, Reference
from fastsam.prompts.spec import (
    Box,
    Mask,
    Points,
    Position,
    Prompt,
    Text,
    all_of,
    any_of,
    but_not,
)

__all__ = ["Form"]

Reader = Callable[[Any], Prompt]
Writer = Callable[[Prompt], dict[str, Any]]


@dataclass(frozen=True)
class Form:
    """How prompts of one kind are written as JSON.

    Attributes:
        keys: what says that an object is of this kind -> the options that may stand beside it.
        read: ``(key, value, options, read)`` -> the prompt; ``read`` reads prompts inside it.
        write: ``(prompt, write)`` -> the object.
    """

    keys: Mapping[str, tuple[str, ...]]
    read: Callable[[str, Any, dict[str, Any], Reader], Prompt]
    write: Callable[[Any, Writer], dict[str, Any]]


def _read_box(key: str, value: Any, options: dict[str, Any], read: Reader) -> Box:
    return Box(value, **options)


def _write_box(prompt: Box, write: Writer) -> dict[str, Any]:
    return {"box": _one_or_all([list(box) for box in prompt.xyxy]), "iou_threshold": prompt.iou_threshold}


def _read_points(key: str, value: Any, options: dict[str, Any], read: Reader) -> Points:
    previous = options.pop("previous", None)
    if previous is None:
        return Points(value, **options)
    before = read(previous)
    if not isinstance(before, Mask):
        raise PromptError(f"previous: expected a mask such as {{'rle': {{...}}}}, got {str(previous)[:80]}")
    return Points(value, previous=before, **options)


def _write_points(prompt: Points, write: Writer) -> dict[str, Any]:
    points: list[list[list[float]]] = []
    labels: list[list[int]] = []
    for clicks in prompt.objects:
        found = [([x, y], label) for x, y, label in clicks.clicks]
        found = found or [([0.0, 0.0], -1)]  # an object whose points are all ignored has to have one
        points.append([xy for xy, _ in found])
        labels.append([label for _, label in found])
    written = {
        "points": _one_or_all(points), "labels": _one_or_all(labels),
        "multimask": prompt.multimask, "level": prompt.level,
    }  # fmt: skip
    return written if prompt.previous is None else {**written, "previous": write(prompt.previous)}


def _read_mask(key: str, value: Any, options: dict[str, Any], read: Reader) -> Mask:
    if key == "rle":
        return Mask.rle(value, **options)
    if key == "scribble":
        return Mask.scribble(value, **options)
    return Mask.polygon(as_floats(value, "polygon", "(x, y) points, shape (K, 2)"), **options)


def _write_mask(prompt: Mask, write: Writer) -> dict[str, Any]:
    options: dict[str, Any] = {"threshold": prompt.threshold, "group": prompt.group}
    if prompt.kind in ("bitmap", "rle"):  # the same pixels are written in the same way
        pixels = prompt.value if prompt.kind == "bitmap" else decode_rle(prompt.value)
        return {"rle": encode_rle(pixels), **options}
    if prompt.kind == "scribble":
        options["width_px"] = prompt.width_px
    return {prompt.kind: prompt.value.tolist(), **options}


def _read_text(key: str, value: Any, options: dict[str, Any], read: Reader) -> Text:
    return Text(value, **options)


def _write_text(prompt: Text, write: Writer) -> dict[str, Any]:
    pairs = zip(prompt.names, prompt.texts, strict=True)
    texts = [text if name == text else f"{name}={text}" for name, text in pairs]
    return {
        "text": _one_or_all(texts), "threshold": prompt.threshold,
        "negatives": list(prompt.negatives), "templates": prompt.templates, "crops": prompt.crops,
    }  # fmt: skip


def _read_position(key: str, value: Any, options: dict[str, Any], read: Reader) -> Position:
    of = options.pop("of", None)
    return Position(value, None if of is None else read(of), **options)


def _write_position(prompt: Position, write: Writer) -> dict[str, Any]:
    written: dict[str, Any] = {"position": prompt.where, "count": prompt.count}
    return written if prompt.of is None else {**written, "of": write(prompt.of)}


def _combination(key: str, make: Callable[..., Prompt], count: int | None = None) -> Form:
    """Return the form of a combination: its name and a list."""

    def read_members(key: str, value: Any, options: dict[str, Any], read: Reader) -> Prompt:
        if not isinstance(value, list) or options:
            raise PromptError(
                f"prompt {key}: expected only a list of prompts, got {str({key: value, **options})[:80]}"
            )
        if count is not None and len(value) != count:
            raise PromptError(f"prompt {key}: expected [wanted, unwanted], got {len(value)} prompts")
        return make(*[read(member) for member in value])

    def write_members(prompt: Prompt, write: Writer) -> dict[str, Any]:
        return {key: [write(member) for member in prompt.children()]}

    return Form({key: ()}, read_members, write_members)


def _read_reference(key: str, value: Any, options: dict[str, Any], read: Reader) -> Reference:
    """Return a reference of JSON: ``{"image": ..., REGION}``, or a list of such objects."""
    negatives = options.pop("negatives", ())
    given = value if isinstance(value, list) else [value]
    against = negatives if isinstance(negatives, (list, tuple)) else [negatives]
    if not given:
        raise PromptError("prompt reference: expected at least one object with an image and a region")
    examples = [_read_shot(shot, None, read) for shot in given]
    image = next((one.image for one in examples[:1] if isinstance(one, Example)), None)
    return Reference.made(examples, [_read_shot(one, image, read) for one in against], **options)


def _read_shot(data: Any, image: Any, read: Reader) -> Example | Appearance:
    """Return a shot of JSON; ``image`` is what it is of where it does not say."""
    if isinstance(data, dict) and set(data) == {"appearance"}:
        return _read_appearance(data["appearance"])
    if not isinstance(data, dict) or not isinstance(data.get("image", image), str):
        raise PromptError(
            "prompt reference: expected {'image': 'ref.jpg', 'box': [x1, y1, x2, y2]} or with points, "
            f"polygon, rle or scribble, got {str(data)[:80]}"
        )
    region = read({key: value for key, value in data.items() if key != "image"})
    return Example(data.get("image", image), region)  # type: ignore[arg-type]  # what it is, Example checks


def _write_reference(prompt: Reference, write: Writer) -> dict[str, Any]:
    return {
        "reference": [_write_shot(one, write) for one in prompt.shots],
        "negatives": [_write_shot(one, write) for one in prompt.negatives],
        "mode": prompt.mode, "threshold": prompt.threshold,
    }  # fmt: skip


def _write_shot(one: Example | Appearance, write: Writer) -> dict[str, Any]:
    if isinstance(one, Appearance):
        vectors = {"seen": _packed(one.seen), "picture": _packed(one.picture)}
        return {
            "appearance": {**vectors, "network": one.network, "text_model": one.text_model, "name": one.name},
        }  # fmt: skip
    if not isinstance(one.image, (str, os.PathLike)):
        raise PromptError(
            f"{one!r}: an image in memory cannot be written as JSON; give its path, or let a model describe "
            "it first (Session.reference, FastSAM.reference, FastSAM.resolve)"
        )
    return {"image": os.fspath(one.image), **write(one.region)}


def _read_appearance(data: Any) -> Appearance:
    """Return a region that a model has described, from its vectors."""
    try:
        vectors = [_unpacked(data[name]) for name in ("seen", "picture")]
        names = [data[name] for name in ("network", "text_model", "name")]
    except (TypeError, KeyError, ValueError, binascii.Error) as error:
        raise PromptError(
            f"prompt reference, appearance: expected what prompt_to_json writes, got {error}"
        ) from error
    if not all(isinstance(name, str) for name in names):
        raise PromptError(f"prompt reference, appearance: expected texts, got {names!r:.80}")
    return Appearance(vectors[0], vectors[1], *names)


def _packed(vector: NDArray[np.float32]) -> str:
    """Return a vector's little-endian bytes as text."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def _unpacked(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)


def _one_or_all(values: Sequence[Any]) -> Any:
    """Return a lone value without its list."""
    return values[0] if len(values) == 1 else values


_MASK_OPTIONS = ("threshold", "group")
BOX = Form({"box": ("iou_threshold",)}, _read_box, _write_box)
POINTS = Form({"points": ("labels", "multimask", "level", "previous")}, _read_points, _write_points)
MASK = Form(
    {"polygon": _MASK_OPTIONS, "rle": _MASK_OPTIONS, "scribble": ("width_px", *_MASK_OPTIONS)},
    _read_mask,
    _write_mask,
)
TEXT = Form({"text": ("threshold", "negatives", "templates", "crops")}, _read_text, _write_text)
REFERENCE = Form({"reference": ("negatives", "mode", "threshold")}, _read_reference, _write_reference)
POSITION = Form({"position": ("of", "count")}, _read_position, _write_position)
ANY_OF = _combination("any_of", any_of)
ALL_OF = _combination("all_of", all_of)
BUT_NOT = _combination("but_not", but_not, count=2)
