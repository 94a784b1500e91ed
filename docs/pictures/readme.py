"""Make docs/readme.jpg: everything, a click, a click without a part, and a box, side by side.

python docs/pictures/readme.py docs/readme.jpg
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

from fastsam import Box, FastSAM, Points
from fastsam.cli.demo import demo_photo


def main(target: str) -> None:
    """Write the picture."""
    session = FastSAM().open(demo_photo())
    answers = [
        session.everything(),
        session.select(Points((150, 600))),
        session.select(Points([(150, 600), (160, 760)], labels=[1, 0])),
        session.select(Box((660, 380, 809, 880))),
    ]
    panels = [Image.fromarray(answer.plot(alpha=0.6)).resize((405, 540)) for answer in answers]
    Image.fromarray(np.concatenate([np.asarray(panel) for panel in panels], axis=1)).save(
        target, optimize=True
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/readme.jpg")
