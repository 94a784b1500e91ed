"""Make docs/levels.jpg: whole, part and subpart masks of a photo, and its partition, side by side.

python docs/pictures/levels.py docs/levels.jpg
"""

from __future__ import annotations

import sys

import numpy as np
import skimage.data
from PIL import Image

from fastsam import FastSAM


def main(target: str) -> None:
    """Write the picture, and say how the masks nest."""
    session = FastSAM().open(skimage.data.astronaut(), conf=0.05)
    answers = [
        session.everything("whole"),
        session.everything("part"),
        session.everything("subpart"),
        session.everything(disjoint=True),
    ]
    for answer in answers:
        print(answer.reason)
    largest = int(session.masks.areas_px[session.levels.roots].argmax())
    root = int(session.levels.roots[largest])
    print(f"the largest mask has {len(session.levels.children(root))} masks directly in it")
    panels = [Image.fromarray(answer.plot(alpha=0.6)).resize((400, 400)) for answer in answers]
    Image.fromarray(np.concatenate([np.asarray(panel) for panel in panels], axis=1)).save(
        target, optimize=True
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/levels.jpg")
