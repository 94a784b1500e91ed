"""``fastsam demo``: segment a photo that an installed package contains, and say where the results are."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from fastsam.model import FastSAM
from fastsam.needed import needed
from fastsam.prompts import Box, Points, Prompt, Text

__all__ = ["demo_photo", "run_demo"]

_CLICK = (150.0, 600.0)  # the person on the left
_TWO = ((150.0, 600.0), (160.0, 760.0))  # the same person, without the trousers
_BOX = (660.0, 380.0, 809.0, 880.0)  # the person on the right


def demo_photo() -> Path:
    """Return the path of the street photo (810 x 1080) that the ultralytics package carries."""
    with needed("ultralytics", "find the demo photo"):
        from ultralytics.utils import ASSETS
    return Path(ASSETS) / "bus.jpg"


def run_demo(out: Path, weights: str | None, device: str) -> Iterator[str]:
    """Segment the photo, answer some prompts, write overlays and masks; yield lines to print."""
    photo = demo_photo()
    session = FastSAM(weights, device=device).open(photo)
    everything = session.everything()
    network = session.times_ms["network"]
    yield f"{photo.name}: {len(everything)} masks, network {network:.0f} ms (first run)"
    yield f"everything    {everything.save(out / 'everything.png')}"
    yield f"the photo     {shutil.copy(photo, out / 'photo.jpg')}"
    files = everything.export(out / "masks", "png")
    yield f"{len(files)} mask files {out / 'masks'}"
    prompts: dict[str, Prompt] = {
        "click": Points(_CLICK),
        "add-subtract": Points(_TWO, [1, 0]),
        "box": Box(_BOX),
        "text": Text(["a bus", "a person", "an elephant"]),
    }
    for name, prompt in prompts.items():
        answer = session.select(prompt)
        yield f"{name:<13} {answer.save(out / f'{name}.png')}  ({answer.reason})"
