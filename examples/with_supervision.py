"""Draw masks with supervision (pip install supervision), and use its other tools on them.

python examples/with_supervision.py PHOTO drawn.jpg
"""

from __future__ import annotations

import sys

import supervision as sv
from PIL import Image

from fastsam import FastSAM


def main(photo: str, target: str) -> None:
    """Draw everything that has a name."""
    result = FastSAM().open(photo).label("everyday").everything()
    detections = result.to_supervision()
    detections = detections[detections.data["class_name"] != "unknown"]
    drawn = sv.MaskAnnotator(color_lookup=sv.ColorLookup.INDEX).annotate(result.frame.rgb.copy(), detections)
    drawn = sv.LabelAnnotator(color_lookup=sv.ColorLookup.INDEX).annotate(drawn, detections)
    Image.fromarray(drawn).save(target)
    print(len(detections), "masks with a name:", ", ".join(sorted(set(detections.data["class_name"]))))


if __name__ == "__main__":
    main(*sys.argv[1:])
