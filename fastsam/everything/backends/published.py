"""Networks that ultralytics itself has exported: what of them can be run, and what they lack.

``YOLO("FILE.pt").export(format="onnx")`` gives predictions and prototypes in the form that is decoded here,
but no feature maps: clicks, boxes, texts and "everything" work, references by appearance compare pictures
alone. Most of these files have an input of one size; smaller inputs are padded to it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import CheckpointError, ConfigError
from fastsam.everything.carried import usable_names
from fastsam.everything.network_input import PADDING_GREY
from fastsam.untrusted import MALFORMED

__all__ = ["FixedInput", "Port", "published_form", "published_names", "sidecar"]

_MOST_STRIDE = 1024
_LONGEST_NAMES = 1 << 20  # characters
_BESIDE_COEFFICIENTS = 6  # numbers of a finished detection: its box, score and class


@dataclass(frozen=True)
class Port:
    """An input or output of a network: its name, and its sides; None for a free one."""

    name: str
    shape: tuple[int | None, ...]
    half: bool = False


@dataclass(frozen=True)
class FixedInput:
    """How a published network is fed, and its answer cut.

    Attributes:
        name: of the input.
        size_hw: the only size that it takes; None where its sides are free.
        half: it takes float16.
        stride: the sides are multiples of this.
        classes: how many classes it tells apart.
        order: which outputs are predictions and prototypes.
    """

    name: str
    size_hw: tuple[int, int] | None
    half: bool
    stride: int
    classes: int
    order: tuple[int, int]

    def fed(self, image: NDArray[np.float32]) -> NDArray[Any]:
        """Return a (1, 3, h, w) input as the network takes it.

        Raises:
            ConfigError: it is larger than the network's input.
        """
        if self.size_hw is not None:
            down, right = (have - want for have, want in zip(self.size_hw, image.shape[2:], strict=True))
            if down < 0 or right < 0:
                raise ConfigError(
                    f"imgsz: this network takes images of {self.size_hw[1]}x{self.size_hw[0]}, and "
                    f"{image.shape[3]}x{image.shape[2]} is larger",
                    advice="choose a smaller imgsz, or export it with dynamic=True",
                )
            sides = ((0, 0), (0, 0), (0, down), (0, right))
            image = np.pad(image, sides, constant_values=PADDING_GREY / 255) if down or right else image
        return image.astype(np.float16) if self.half else image

    def cut(self, values: Sequence[NDArray[Any]], size_hw: tuple[int, int]) -> list[NDArray[np.float32]]:
        """Return predictions and prototypes of the input alone, without what was padded."""
        predictions, prototypes = (np.asarray(values[k], np.float32) for k in self.order)
        height, width = self.size_hw or size_hw
        rows = prototypes.shape[2] * size_hw[0] // height
        return [predictions, prototypes[:, :, :rows, : prototypes.shape[3] * size_hw[1] // width]]


def sidecar(path: Path) -> dict[str, str]:
    """Return the plain entries of the ``metadata.yaml`` that ultralytics writes beside OpenVINO's files."""
    file = path.with_name("metadata.yaml")
    if not file.is_file() or file.stat().st_size > 1 << 24:
        return {}
    text = file.read_text(encoding="utf-8", errors="replace")
    return dict(re.findall(r"^(\w+): *(.*?) *$", text, flags=re.MULTILINE))


def published_names(said: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the classes, which ultralytics writes as a Python dictionary.

    >>> published_names({"names": "{0: 'dog', 1: 'cat'}"})
    ('dog', 'cat')
    """
    text = said.get("names", "")
    try:
        return usable_names(ast.literal_eval(text)) if len(text) <= _LONGEST_NAMES else ()
    except (SyntaxError, *MALFORMED):
        return ()


def published_form(
    said: Mapping[str, str], inputs: Sequence[Port], outputs: Sequence[Port], path: Path
) -> FixedInput | None:
    """Return how to run a network that ultralytics has exported; None for one that it has not.

    Args:
        said: the file's metadata.
        inputs: its inputs.
        outputs: its outputs.
        path: for messages.

    Raises:
        CheckpointError: it is one of its exports, but of another task or form.
    """
    if "stride" not in said or "task" not in said:
        return None
    what, stride = f"network {path}", said["stride"]
    if said["task"] != "segment":
        raise CheckpointError(
            f"expected a segmentation network, got one of task {said['task'][:40]!r}", subject=what
        )
    ranks = {len(port.shape): k for k, port in enumerate(outputs)}
    usable = len(inputs) == 1 and len(inputs[0].shape) == 4 and sorted(ranks) == [3, 4] and len(outputs) == 2
    if not usable or not stride.isdigit() or not 1 <= int(stride) <= _MOST_STRIDE:
        raise CheckpointError(
            "expected one image as input, and predictions and prototypes as outputs, got "
            f"{len(inputs)} inputs and {len(outputs)} outputs of {sorted(ranks)} axes",
            subject=what,
            advice="export it again with ultralytics, as a -seg network",
        )
    rows, anchors = outputs[ranks[3]].shape[1:]
    masks = outputs[ranks[4]].shape[1]
    if masks is not None and anchors == masks + _BESIDE_COEFFICIENTS:
        raise CheckpointError(
            "its output went through NMS or an end-to-end head, and no masks can be decoded from that",
            subject=what,
            advice="export it with nms=False (YOLO26 also with end2end=False), or use the .pt",
        )
    if rows is None or masks is None or rows - 4 - masks < 1:
        raise CheckpointError(f"expected 4 + classes + {masks} rows of predictions, got {rows}", subject=what)
    sides = inputs[0].shape[2:]
    fixed = None if sides[0] is None or sides[1] is None else (sides[0], sides[1])
    return FixedInput(
        inputs[0].name, fixed, inputs[0].half, int(stride), rows - 4 - masks, (ranks[3], ranks[4])
    )
