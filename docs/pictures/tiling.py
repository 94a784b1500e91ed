"""Make docs/tiling.jpg: the small things of a photo, from one pass over the image and with tiles beside it.

python docs/pictures/tiling.py docs/tiling.jpg
"""

from __future__ import annotations

import sys

import numpy as np
import skimage.data
from PIL import Image

from fastsam import FastSAM


def main(target: str) -> None:
    """Write the picture."""
    model, photo = FastSAM(), skimage.data.hubble_deep_field()
    panels = []
    for options in ({}, {"tile": 320}):
        result = model.open(photo, **options).everything()
        result = result[result.masks.areas_px < 0.01 * photo[..., 0].size]
        print(options or "whole image", len(result), "small things")
        panels.append(np.asarray(Image.fromarray(result.plot(alpha=0.6)).resize((700, 610))))
    Image.fromarray(np.concatenate(panels, axis=1)).save(target, quality=88, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/tiling.jpg")
