"""Cut every thing that matches some words out of a photo: a PNG each, transparent around it.

python examples/cutouts.py PHOTO "a person" OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from fastsam import FastSAM


def main(photo: str, words: str, out: str) -> None:
    """Write OUT/0.png, OUT/1.png, ..., the best match first."""
    found = FastSAM().open(photo).select(words)
    print(found.reason)
    Path(out).mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(found.cutouts()):
        Image.fromarray(picture).save(Path(out) / f"{number}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
