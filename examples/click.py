"""Click on a photo in a window: left adds, right takes away, c starts anew, s saves the cut-out, q quits.

python examples/click.py PHOTO [cutout.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fastsam import FastSAM, Points, Result, Session


class Clicks:
    """The clicks on a photo so far, and what they select."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.points: list[tuple[int, int]] = []
        self.labels: list[int] = []
        self.answer: Result | None = None

    def add(self, x: int, y: int, label: int) -> None:
        """Take one more click: 1 adds what is under it, 0 takes it away."""
        self.points.append((x, y))
        self.labels.append(label)
        # The earlier answer goes along, so that a click changes it and never loses it.
        self.answer = self.session.select(Points(self.points, self.labels, previous=self.answer))
        print(self.answer.reason)

    def picture(self) -> np.ndarray:
        """Return the RGB picture to show."""
        return self.session.frame.rgb if self.answer is None else self.answer.plot()


def main(photo: str, target: str = "cutout.png") -> None:
    """Show the photo and answer clicks until q is pressed."""
    clicks = Clicks(FastSAM().open(photo))

    def on_mouse(event: int, x: int, y: int, *_: object) -> None:
        if event in (cv2.EVENT_LBUTTONDOWN, cv2.EVENT_RBUTTONDOWN):
            clicks.add(x, y, int(event == cv2.EVENT_LBUTTONDOWN))

    cv2.namedWindow(photo)
    cv2.setMouseCallback(photo, on_mouse)
    while (key := cv2.waitKey(30)) != ord("q"):
        cv2.imshow(photo, cv2.cvtColor(clicks.picture(), cv2.COLOR_RGB2BGR))
        if key == ord("c"):
            clicks = Clicks(clicks.session)
        if key == ord("s") and clicks.answer:
            Image.fromarray(clicks.answer.cutouts()[0]).save(target)
            print("saved", Path(target).resolve())
    cv2.destroyAllWindows()


if __name__ == "__main__":
    main(*sys.argv[1:])
