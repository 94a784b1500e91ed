"""What texts cost on one photo: ours beside the usual ways, the same masks, the same text-image model.

The usual ways cut each mask's box out of the photo as CASIA's FastSAM does (a picture as large as the photo,
white outside the box), prepare it as the model says, and encode all of them again for each text:

* ``reloaded``: the model is loaded for each text, and sees one crop at a time.
* ``kept``: the model stays, one crop at a time.
* ``batch``: the model stays, all crops go through at once.

Ours opens the photo's masks afresh each time, with the model loaded anew (``ours reloaded``; vocabularies
come from the cache folder, as in any process but a machine's first) or kept (``ours kept``). All take turns
in one process; figures are medians over the rounds. Compare the ratios: absolute times belong to the machine.

    python benchmarks/text.py --text-model models/mine --repeat 3
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("YOLO_AUTOINSTALL", "False")
os.environ.setdefault("YOLO_OFFLINE", "True")

import numpy as np
import open_clip
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from ultralytics.utils import ASSETS

from fastsam.errors import FastSAMError
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.images.frame import Frame
from fastsam.images.reading import read_frame
from fastsam.masks.maskset import MaskSet
from fastsam.model import FastSAM
from fastsam.prompts import ImageFeatures, Text, select
from fastsam.prompts.text.matching import Embedder
from fastsam.prompts.text.models import open_text_model

TEXTS = (
    "a bus", "a person", "an elephant", "a car", "a street",
    "a window", "a red car", "a shoe", "a tree", "a dog",
)  # fmt: skip


clock = time.perf_counter


def timed(call: Callable[[], Any]) -> float:
    """Return how long a call takes, seconds."""
    start = clock()
    call()
    return clock() - start


class Usual:
    """Crops of boxes, encoded for each text; the model is a folder in open_clip's format."""

    def __init__(self, folder: str, frame: Frame, masks: MaskSet) -> None:
        self.name, self.photo = f"local-dir:{folder}", Image.fromarray(frame.rgb)
        self.array = np.array(frame.rgb)
        self.boxes = [[int(v) for v in box] for box in masks.boxes_xyxy]
        self.load()

    def load(self) -> None:
        """Load the model."""
        self.model, _, self.prepare = open_clip.create_model_and_transforms(self.name)
        self.tokenize = open_clip.get_tokenizer(self.name)
        self.model.eval()

    def crop(self, box: list[int]) -> Image.Image:
        """Return the photo, white outside a box, as CASIA's ``_segment_image`` makes it."""
        x1, y1, x2, y2 = box
        inside = np.zeros_like(self.array)
        inside[y1:y2, x1:x2] = self.array[y1:y2, x1:x2]
        shown = np.zeros(self.array.shape[:2], np.uint8)
        shown[y1:y2, x1:x2] = 255
        picture = Image.new("RGB", self.photo.size, (255, 255, 255))
        picture.paste(Image.fromarray(inside), mask=Image.fromarray(shown, mode="L"))
        return picture

    @torch.inference_mode()
    def ask(self, text: str, *, at_once: bool) -> int:
        """Return the mask that is most like a text."""
        pictures = [self.prepare(self.crop(box)) for box in self.boxes]
        if at_once:
            seen = self.model.encode_image(torch.stack(pictures), normalize=True)
        else:
            seen = torch.cat([self.model.encode_image(one[None], normalize=True) for one in pictures])
        words = self.model.encode_text(self.tokenize([text]), normalize=True)
        return int((100.0 * seen @ words.T).softmax(dim=0)[:, 0].argmax())

    def session(self, texts: Sequence[str], *, reload: bool, at_once: bool = False) -> None:
        """Answer texts, one after another."""
        for text in texts:
            if reload:
                self.load()
            self.ask(text, at_once=at_once)


class Ours:
    """fastsam: crops of masks in batches, once a photo."""

    def __init__(self, folder: str, frame: Frame, masks: MaskSet) -> None:
        self.folder, self.frame, self.masks = folder, frame, masks
        self.kept = self.load()

    def load(self) -> Embedder:
        """Name the model anew; it loads with the first text."""
        found = open_text_model(self.folder, device="cpu")
        assert found is not None
        return found

    def session(self, texts: Sequence[str], *, reload: bool) -> None:
        """Open the photo's masks afresh and answer texts, one after another."""
        features = ImageFeatures(self.frame, self.masks, self.load() if reload else self.kept)
        for text in texts:
            select(self.masks, Text(text), features)


def measure(folder: str, frame: Frame, masks: MaskSet, repeat: int) -> dict[str, Any]:
    """Return seconds of each way for one text and for ten, and their ratios to ours."""
    ours, usual = Ours(folder, frame, masks), Usual(folder, frame, masks)
    first = timed(lambda: ours.session(TEXTS[:1], reload=True))  # no vocabulary is known yet
    ways: dict[str, Callable[[Sequence[str]], None]] = {
        "ours reloaded": lambda texts: ours.session(texts, reload=True),
        "reloaded": lambda texts: usual.session(texts, reload=True),
        "ours kept": lambda texts: ours.session(texts, reload=False),
        "kept": lambda texts: usual.session(texts, reload=False),
        "batch": lambda texts: usual.session(texts, reload=False, at_once=True),
    }
    spent: dict[str, list[float]] = {f"{name}, {count}": [] for count in (1, 10) for name in ways}
    for turn in range(repeat + 1):
        for name, way in ways.items():
            for count in (1, 10):
                seconds = timed(lambda way=way, count=count: way(TEXTS[:count]))
                if turn:  # the first turn warms up
                    spent[f"{name}, {count}"].append(seconds)
    s = {name: median(values) for name, values in spent.items()}
    features = ImageFeatures(frame, masks, ours.kept)
    pictures = [
        timed(lambda: ImageFeatures(frame, masks, ours.kept).embeddings("masked")) for _ in range(repeat)
    ]
    told = len(features.embeddings("masked")[1])
    return {
        "photo": frame.name, "size_hw": list(frame.size_hw), "masks": len(masks), "text_model": folder,
        "first_text_on_a_machine_s": first, "seconds": s, "ms_a_crop": 1e3 * median(pictures) / told,
        "ratios": {
            f"{usual_way} / {our_way}, {count} text{'s' * (count > 1)}":
                s[f"{usual_way}, {count}"] / s[f"{our_way}, {count}"]
            for usual_way, our_way in
            (("reloaded", "ours reloaded"), ("kept", "ours kept"), ("batch", "ours kept"))
            for count in (1, 10)
        },
    }  # fmt: skip


def show(results: dict[str, Any], console: Console) -> None:
    """Print the results as a table."""
    height, width = results["size_hw"]
    made = Table(title=f"{results['photo']} {width}x{height}, {results['masks']} masks")
    for name in ("way", "1 text, s", "10 texts, s"):
        made.add_column(name, justify="left" if name == "way" else "right")
    names = dict.fromkeys(name.rpartition(",")[0] for name in results["seconds"])
    for name in names:
        made.add_row(name, *[f"{results['seconds'][f'{name}, {count}']:.3f}" for count in (1, 10)])
    console.print(made)
    console.print(f"ours: {results['ms_a_crop']:.1f} ms a crop, cut out and encoded in batches")
    console.print(f"ours: {results['first_text_on_a_machine_s']:.3f} s for the first text on a machine")
    for name, value in results["ratios"].items():
        console.print(f"  {name}: {value:.1f}")


def main() -> None:
    """Parse the command line and print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text-model", required=True, help="folder in open_clip's format")
    parser.add_argument("--weights", type=Path, help="checkpoint that makes the masks; the embedded default")
    parser.add_argument("--photo", type=Path, default=ASSETS / "bus.jpg")
    parser.add_argument("--masks", type=int, help="take only so many masks, the best")
    parser.add_argument("--repeat", type=int, default=3, help="rounds, besides one to warm up")
    parser.add_argument("--threads", type=int, help="of torch; as many as it likes if not given")
    parser.add_argument(
        "--cpu-time", action="store_true", help="count the processor's time, all threads': for busy machines"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    if args.repeat < 1 or (args.threads or 1) < 1 or (args.masks or 1) < 1:
        parser.error("--repeat, --threads and --masks must be at least 1")
    if args.cpu_time:
        global clock
        clock = time.process_time
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as home:
        try:
            model = FastSAM(args.weights, device="cpu")
            assert isinstance(model.segmenter, TorchBackend)
            frame = read_frame(args.photo)
            masks = model.open(frame).masks[: args.masks]
            os.environ["FASTSAM_HOME"] = home  # what the first text leaves is found by the others only
            results = measure(args.text_model, frame, masks, args.repeat)
        except FastSAMError as error:
            parser.exit(2, f"error: {error}\n")
    machine = {"cores": os.cpu_count(), "torch_threads": torch.get_num_threads(), "load": os.getloadavg()[0]}
    if args.json:
        print(json.dumps(results | {"machine": machine}, indent=2))
    else:
        console = Console()
        console.print(", ".join(f"{name} {value}" for name, value in machine.items()))
        show(results, console)


if __name__ == "__main__":
    main()
