"""Count the things that pass through a video: each is counted once, also if it leaves and comes back.

python examples/count_in_video.py VIDEO "a car"
"""

from __future__ import annotations

import sys
from typing import Any

from fastsam import FastSAM, Text


def count(video: Any, words: str) -> dict[int, int]:
    """Return the number of frames in which each thing was seen, by its id."""
    seen: dict[int, int] = {}
    with FastSAM().stream(video) as stream:
        stream.select(0, Text(words))  # stays valid: finds what comes into sight later as well
        for _, masks in stream:
            for number in masks.ids.tolist():
                seen[number] = seen.get(number, 0) + 1
    return seen


def main(video: str, words: str) -> None:
    """Print how many there were."""
    seen = count(video, words)
    print(f"{words}: {len(seen)} in {video}")
    for number, frames in seen.items():
        print(f"  {number}: seen in {frames} frames")


if __name__ == "__main__":
    main(*sys.argv[1:])
