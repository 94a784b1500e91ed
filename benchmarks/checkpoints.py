"""Remake checkpoints with the code of older releases of ultralytics, and load them here.

    python benchmarks/checkpoints.py [NAME ...] [--keep FOLDER]

Each release is installed beside the others (pip install --no-deps --target), so it runs with the torch of
this environment; one that no longer imports there is reported and skipped. A release builds a network with
its own code, with the embedded weights where they fit, and saves it in the forms that its trainer and
``save()`` write. Then this package loads each file. What the release itself computed, decoded in the same
way, are the masks to compare with, one to one. Needs PyPI; takes minutes for each release.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam.cli.demo import demo_photo
from fastsam.config import SegmentConfig
from fastsam.errors import FastSAMError
from fastsam.everything.backends.choose import open_network
from fastsam.everything.decode import decode
from fastsam.everything.network_input import network_input
from fastsam.images.reading import read_frame
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import rle_iou_matrix
from fastsam.weights.checkpoint import segmentation_model
from fastsam.weights.resolve import resolve

IMGSZ = 320
CONFIG = SegmentConfig(conf=0.0, iou=0.7, imgsz=IMGSZ, max_det=30)


@dataclass(frozen=True)
class Case:
    """What one release makes."""

    version: str
    recipe: str
    extra: tuple[str, ...] = ()  # installed beside it

    @property
    def name(self) -> str:
        """Release and recipe, in a word."""
        dill = "+dill" if any("dill" in one for one in self.extra) else ""
        return f"{self.version}{dill}:{self.recipe.removesuffix('.yaml')}"


_HYDRA = ("omegaconf==2.3.0", "hydra-core==1.3.2", "antlr4-python3-runtime==4.9.3")
CASES = (
    Case("8.0.6", "yolov8n-seg.yaml", _HYDRA),
    Case("8.0.35", "yolov8n-seg.yaml"),
    Case("8.0.120", "yolov8n-seg.yaml", ("dill==0.3.7",)),
    Case("8.0.196", "yolov8n-seg.yaml", ("dill==0.3.7",)),
    Case("8.1.42", "yolov9e-seg.yaml"),
    Case("8.1.42", "yolov8n-seg.yaml", ("dill==0.3.7",)),
    Case("8.2.45", "yolov8n-seg.yaml", ("dill==0.3.8",)),
    Case("8.2.103", "yolov8n-seg.yaml"),
    Case("8.3.0", "yolo11n-seg.yaml", ("dill==0.3.8",)),
    Case("8.3.100", "yoloe-11s-seg.yaml"),
    Case("8.3.100", "yolo12n-seg.yaml"),
    Case("8.4.0", "yolo26n-seg.yaml"),
    Case("8.4.7", "yolov8n-seg.yaml"),
    Case("8.4.40", "yolo26n-seg.yaml"),
    Case("8.4.60", "yolo11n-seg.yaml"),
)

# Run by the release: argv holds the recipe, the folder, and whether to write with dill.
MAKE = """
import copy, sys
import numpy as np
import torch
import ultralytics
from ultralytics.nn import tasks

recipe, folder, with_dill = sys.argv[1], sys.argv[2], sys.argv[3] == "1"
image = torch.from_numpy(np.load(f"{folder}/image.npy"))
torch.manual_seed(0)
names = {0: "object"}
if "yoloe" in recipe:
    model = tasks.YOLOESegModel(recipe, verbose=False).eval()
    vectors = torch.nn.functional.normalize(torch.randn(1, 3, 512), dim=-1)
    model.args = {"imgsz": 320}
    model.set_classes(["bus", "person", "wheel"], vectors)
else:
    model = tasks.SegmentationModel(recipe, nc=1, verbose=False).eval()
    weights = dict(np.load(f"{folder}/weights.npz"))
    own = model.state_dict()
    if {k: v.shape for k, v in weights.items()} == {k: tuple(v.shape) for k, v in own.items()}:
        model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    model.names = names
try:  # the first releases kept settings as OmegaConf objects
    from omegaconf import OmegaConf
    model.args = OmegaConf.create({"imgsz": 320, "task": "segment"})
except ImportError:
    model.args = {"imgsz": 320, "task": "segment"}

def computed(network):
    with torch.no_grad():
        out = network(image)
    return out[0] if isinstance(out[0], (tuple, list)) else out[:2]

def keep(network, name):
    found = computed(network)
    arrays = [a for a in found if getattr(a, "ndim", 0) in (3, 4)]
    if not arrays or arrays[0].ndim != 3:  # the first releases: predictions, then levels and prototypes
        arrays = [found[0]]
    rest = found[1] if isinstance(found[1], (tuple, list)) else found
    proto = [a for a in rest if getattr(a, "ndim", 0) == 4]
    np.savez(f"{folder}/{name}.npz", predictions=arrays[0][0].numpy(), prototypes=proto[-1][0].numpy())

options = {}
if with_dill:
    import dill
    options = {"pickle_module": dill}
model = model.half().float()  # as files have them
head = model.model[-1]
if hasattr(type(head), "end2end") or hasattr(head, "end2end"):
    try:
        head.end2end = False
    except AttributeError:
        pass
keep(model, "whole")
half = copy.deepcopy(model).half()
content = {"epoch": 1, "model": None, "ema": half, "train_args": {"imgsz": 320}}
content["version"] = ultralytics.__version__
torch.save(content, f"{folder}/unfinished.pt", **options)
torch.save({**content, "model": half, "ema": None}, f"{folder}/best.pt", **options)
torch.save({"model": copy.deepcopy(model).fuse(verbose=False)}, f"{folder}/fused.pt", **options)
if "yolo26" in recipe:
    ended = copy.deepcopy(model)
    try:
        ended.model[-1].end2end = True
    except AttributeError:
        pass
    torch.save({"model": ended.fuse(verbose=False)}, f"{folder}/fused end to end.pt", **options)
"""


def installed(case: Case, where: Path) -> Path | None:
    """Install a release into a folder of its own; None where PyPI no longer gives it."""
    target = where / f"ultralytics-{case.version}{'-more' if case.extra else ''}"
    if not target.is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
        command += [f"ultralytics=={case.version}", *case.extra]
        if subprocess.run(command, check=False, capture_output=True).returncode:  # noqa: S603  pip
            return None
    return target


def made(case: Case, release: Path, folder: Path, image: NDArray[np.float32]) -> str:
    """Let a release write its files; return why it could not, empty where it could."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "image.npy", image)
    state = segmentation_model(resolve("default").path).state_dict()
    np.savez(folder / "weights.npz", **{name: value.numpy() for name, value in state.items()})
    settings = {**os.environ, "PYTHONPATH": str(release), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    settings["YOLO_CONFIG_DIR"] = str(folder)
    with_dill = str(int("+dill" in case.name))
    command = [sys.executable, "-c", MAKE, case.recipe, str(folder), with_dill]
    done = subprocess.run(command, env=settings, check=False, capture_output=True, text=True)  # noqa: S603
    return "" if done.returncode == 0 else (done.stderr.strip().split("\n") or ["?"])[-1][:160]


def compared(path: Path, wanted: MaskSet, image: NDArray[np.float32], letterbox: Letterbox) -> str:
    """Return how the masks of a file fit those of its release, or what was said of it."""
    try:
        backend = open_network(path, device="cpu").segmenter
        outputs = backend.forward(image)
        found = decode(outputs.predictions, outputs.prototypes, letterbox, CONFIG)
    except FastSAMError as error:
        return f"refused: {str(error).replace(str(path), path.name)}"
    if "end to end" in path.name:
        return f"runs with its other branch of boxes, {len(found)} masks"
    if len(found) != len(wanted):
        return f"DIFFERENT: {len(found)} masks, of the release {len(wanted)}"
    if not len(found):
        return "DIFFERENT: no mask to compare"
    ious = rle_iou_matrix(*([masks.rle(i) for i in range(len(masks))] for masks in (found, wanted)))
    least = float(ious.max(axis=1).min())
    return f"{'equal' if least >= 0.99 else 'DIFFERENT'}, {len(found)} masks, lowest IoU {least:.4f}"


def main() -> int:
    """Print a row for each file; return whether one differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--keep", type=Path, help="folder for the releases and their files")
    args = parser.parse_args()
    frame = read_frame(demo_photo())
    letterbox = Letterbox.fit(frame.size_hw, IMGSZ, stride=32)
    image = network_input(frame.rgb, letterbox)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as temporary:
        where = args.keep or Path(temporary)
        for case in (case for case in CASES if not args.names or case.name in args.names):
            release = installed(case, where)
            folder = where / case.name.replace(":", "-")
            why = "PyPI does not give it" if release is None else made(case, release, folder, image)
            if why:
                print(f"| {case.name} | | not made: {why} |", flush=True)
                continue
            arrays = np.load(folder / "whole.npz")
            wanted = decode(arrays["predictions"], arrays["prototypes"], letterbox, CONFIG)
            for path in sorted(folder.glob("*.pt")):
                said = compared(path, wanted, image, letterbox)
                bad += said.startswith("DIFFERENT")
                print(f"| {case.name} | {path.name} | {said} |", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
