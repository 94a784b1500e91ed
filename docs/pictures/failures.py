"""Make docs/failures.jpg: what goes wrong with the embedded weights, on photos of installed packages.

python docs/pictures/failures.py docs/failures.jpg
"""

from __future__ import annotations

import sys

import numpy as np
import skimage.data
from PIL import Image
from ultralytics.utils import ASSETS

from fastsam import FastSAM

HEIGHT = 300


def main(target: str) -> None:
    """Write the picture, and print the figures that docs/failures.md tells."""
    model, panels = FastSAM(), []
    for photo, words in (
        (skimage.data.coffee(), "a cup"),
        (skimage.data.rocket(), "a rocket"),
        (ASSETS / "zidane.jpg", "a tie"),
    ):
        session = model.open(photo)
        result = session.everything()
        bare = 1 - np.asarray(result).any(axis=0).mean()
        print(f"{len(result)} masks, {bare:.0%} of the pixels under none; {session.select(words).reason}")
        picture = Image.fromarray(result.plot(alpha=0.6))
        panels.append(picture.resize((round(picture.width * HEIGHT / picture.height), HEIGHT)))
    joined = np.concatenate([np.asarray(panel) for panel in panels], axis=1)
    Image.fromarray(joined).save(target, quality=85, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/failures.jpg")
