"""Label a folder of photos with words, as one COCO file.

python examples/folder_to_coco.py PHOTOS OUT "a person" "a dog"
"""

from __future__ import annotations

import sys
from pathlib import Path

from fastsam import FastSAM, FastSAMError, Text
from fastsam.export import Exporter


def main(photos: str, out: str, *words: str) -> None:
    """Write OUT/instances.json with every mask that shows one of the words."""
    model = FastSAM()
    with Exporter("coco", out) as coco:
        for path in sorted(Path(photos).iterdir()):
            try:
                found = model.open(path).select(Text(words))
            except FastSAMError as error:
                print(error)  # a file that is no image does not stop the others
                continue
            coco.add(found.frame, found.masks, labels=found.labels)
            print(f"{path.name}: {found.reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
