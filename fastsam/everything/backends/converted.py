"""What a converted network carries besides its layers, and what reading one shares (numpy only).

A converted network is a file of another runtime with one input, ``image`` (1, 3, height, width), both sides
free multiples of its stride, and the outputs that :meth:`NetworkBackend.forward` returns, by name. What the
checkpoint says beyond its layers (stride, calibration) is one JSON string in the file's metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import CheckpointError
from fastsam.everything.backends.published import Port, published_form, published_names
from fastsam.everything.carried import Carried
from fastsam.everything.segmenter import NetworkBackend, Outputs
from fastsam.files import file_sha256
from fastsam.untrusted import MALFORMED, read_json

__all__ = ["METADATA_KEY", "ConvertedBackend", "NetworkCard", "output_names", "wanted_threads"]

METADATA_KEY = "fastsam"
_FORMAT = 1
_AGAIN = "make it with: fastsam export-model CHECKPOINT.pt"


@dataclass(frozen=True)
class NetworkCard:
    """What a converted network's metadata say.

    Attributes:
        checkpoint_sha256: of the checkpoint that it was made from.
        stride: the sides of its input are multiples of this.
        classes: how many classes it tells apart.
        maps: how many feature maps of the head's input it gives.
        backbone: how many of its backbone's.
        carried: what the checkpoint says beyond its layers.
    """

    checkpoint_sha256: str
    stride: int
    classes: int
    maps: int
    backbone: int = 0
    carried: Carried = field(default_factory=Carried)

    def to_json(self) -> str:
        """Return the string that a file carries."""
        content = {
            "format": _FORMAT,
            "checkpoint_sha256": self.checkpoint_sha256,
            "stride": self.stride,
            "classes": self.classes,
            "maps": self.maps,
            "backbone": self.backbone,
            **self.carried.to_dict(),
        }
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str | None, path: Path) -> NetworkCard:
        """Return the card that :meth:`to_json` wrote into a file; ``path`` is for errors.

        Raises:
            CheckpointError: it is missing, damaged, or of another version.
        """
        if not text:
            raise CheckpointError(
                f"network {path}: expected a network that fastsam has converted, got one without fastsam's "
                f"metadata; {_AGAIN}"
            )
        try:
            content = read_json(text, "metadata")
            if content["format"] != _FORMAT:
                raise CheckpointError(
                    f"expected format {_FORMAT}, got {content['format']!r}, of another version of fastsam",
                    subject=f"network {path}",
                    advice=_AGAIN,
                    path=path,
                )
            numbers = {name: int(content[name]) for name in ("stride", "classes", "maps", "backbone")}
            card = cls(
                str(content["checkpoint_sha256"]),
                **numbers,
                carried=Carried.from_dict(content),
            )
        except CheckpointError as error:  # of the calibration, which does not know the file
            raise error if error.path else error.about(f"network {path}", path) from error
        except MALFORMED as error:
            raise CheckpointError(f"network {path}: its metadata are damaged ({error}); {_AGAIN}") from error
        if min(numbers["stride"], numbers["classes"], numbers["maps"], numbers["backbone"] + 1) < 1:
            raise CheckpointError(f"network {path}: expected counts of at least 1, got {numbers}; {_AGAIN}")
        return card


def output_names(maps: int, backbone: int = 0) -> list[str]:
    """Return the names of a converted network's outputs, in order.

    >>> output_names(2)
    ['predictions', 'prototypes', 'map0', 'map1']
    """
    levels = [*(f"map{k}" for k in range(maps)), *(f"backbone{k}" for k in range(backbone))]
    return ["predictions", "prototypes", *levels]


def wanted_threads() -> int:
    """Return how many threads ``OMP_NUM_THREADS`` asks for; 0, which is as many as there are cores, if none.

    PyTorch goes by that variable by itself; the other runtimes have to be told.
    """
    value = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(value) if value.isascii() and value.isdigit() else 0


class ConvertedBackend(NetworkBackend):
    """A converted network in memory.

    Attributes:
        card: what the file says of it.
    """

    def __init__(
        self,
        path: Path,
        device: str,
        said: Mapping[str, str],
        inputs: Sequence[Port],
        outputs: Sequence[Port],
    ) -> None:
        published = None if METADATA_KEY in said else published_form(said, inputs, outputs, path)
        self._form = published
        if published is not None:
            side = {} if published.size_hw is None else {"imgsz": max(published.size_hw)}
            carried = Carried(defaults=side, names=published_names(said))
            self.card = NetworkCard(file_sha256(path), published.stride, published.classes, 0, 0, carried)
        else:
            self.card = NetworkCard.from_json(said.get(METADATA_KEY), path)
            wanted = output_names(self.card.maps, self.card.backbone)
            names = [[port.name for port in ports] for ports in (inputs, outputs)]
            if names != [["image"], wanted]:
                raise CheckpointError(
                    f"network {path}: expected the input image and the outputs {', '.join(wanted)}; got "
                    f"{', '.join(names[0])} and {', '.join(names[1])}; {_AGAIN}"
                )
        super().__init__(path, device, self.card.stride, self.card.carried, self.card.checkpoint_sha256)

    def _fed(self, image: NDArray[np.float32]) -> NDArray[Any]:
        """Return an input as the network takes it."""
        return image if self._form is None else self._form.fed(image)

    def _outputs(self, values: Sequence[NDArray[np.float32]], image: NDArray[np.float32]) -> Outputs:
        """Return copies of a pass's outputs, as all backends give them."""
        if self._form is not None:
            values = self._form.cut(values, (image.shape[2], image.shape[3]))
        predictions, prototypes, *levels = values
        maps = tuple(level[0].astype(np.float16) for level in levels)
        head = self.card.maps
        return Outputs(predictions[0].copy(), prototypes[0].copy(), maps[:head], maps[head:])
