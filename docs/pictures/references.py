"""Make docs/references.jpg: a person of one photo, and what looks like it in another.

python docs/pictures/references.py docs/references.jpg
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

from fastsam import Box, FastSAM
from fastsam.cli.demo import demo_photo

HEIGHT = 420
PERSON = Box((48, 398, 245, 903))


def main(target: str) -> None:
    """Write the picture: the reference, all that look like it in its photo, and in another photo."""
    model = FastSAM()
    session = model.open(demo_photo())
    person = session.reference(PERSON, threshold=0.15)
    others = model.open(demo_photo().with_name("zidane.jpg"))
    panels = [
        session.select(PERSON).plot(alpha=0.6),
        session.select(person).plot(alpha=0.6),
        others.select(person).plot(alpha=0.6),
    ]
    scaled = [
        Image.fromarray(panel).resize((round(panel.shape[1] * HEIGHT / panel.shape[0]), HEIGHT))
        for panel in panels
    ]
    joined = np.concatenate([np.asarray(panel) for panel in scaled], axis=1)
    Image.fromarray(joined).save(target, quality=85, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/references.jpg")
