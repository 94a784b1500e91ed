"""Remake checkpoints with the code of older releases of ultralytics, and load them here.

python benchmarks/checkpoints.py [VERSION ...] [--dill] [--keep FOLDER]

Each release is installed beside the others (pip install --no-deps --target), so it runs with the torch of
this environment; one that no longer imports there is reported and skipped. It makes an untrained network of
its own code and saves it in the forms that its trainer writes. Then this package loads the file, and its raw
output is compared with what the release itself computed. Needs PyPI; takes minutes for each release.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from fastsam.errors import CheckpointError
from fastsam.everything.backends.torch_network import TorchBackend

VERSIONS = (
    "8.0.120",
    "8.0.196",
    "8.1.42",
    "8.2.45",
    "8.2.103",
    "8.3.0",
    "8.3.100",
    "8.4.0",
    "8.4.7",
    "8.4.60",
)
RECIPES = ("yolov8n-seg.yaml", "yolo11n-seg.yaml", "yolov9c-seg.yaml", "yolo26n-seg.yaml")

# Run by the release: argv holds the recipe, the folder, and whether to write with dill.
MAKE = """
import copy, sys
import numpy as np
import torch
import ultralytics
from ultralytics.nn.tasks import SegmentationModel

recipe, folder, with_dill = sys.argv[1], sys.argv[2], sys.argv[3] == "1"
torch.manual_seed(0)
model = SegmentationModel(recipe, verbose=False).eval()
image = torch.from_numpy(np.random.default_rng(0).random((1, 3, 64, 96), np.float32))
with torch.no_grad():
    out = model(image)
out = out[0] if isinstance(out[0], tuple) else out[:2]
np.savez(f"{folder}/wanted.npz", predictions=out[0][0].numpy())
options = {}
if with_dill:
    import dill
    options = {"pickle_module": dill}
half = copy.deepcopy(model).half()
content = {"epoch": 1, "model": None, "ema": half, "train_args": {"imgsz": 64}}
content["version"] = ultralytics.__version__
torch.save(content, f"{folder}/unfinished.pt", **options)
torch.save({**content, "model": half, "ema": None}, f"{folder}/best.pt", **options)
torch.save({"model": copy.deepcopy(model).fuse(verbose=False)}, f"{folder}/fused.pt", **options)
"""


def installed(version: str, where: Path, extra: tuple[str, ...] = ()) -> Path | None:
    """Install a release into a folder of its own; None where PyPI no longer gives it."""
    target = where / f"ultralytics-{version}"
    if not target.is_dir():
        wanted = [f"ultralytics=={version}", *extra]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        command += [str(target), *wanted]
        if subprocess.run(command, check=False, capture_output=True).returncode:  # noqa: S603  pip
            return None
    return target


def made(release: Path, recipe: str, folder: Path, with_dill: bool) -> str:
    """Let a release write its files; return why it could not, empty where it could."""
    settings = {**os.environ, "PYTHONPATH": str(release), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    settings["YOLO_CONFIG_DIR"] = str(folder)
    command = [sys.executable, "-c", MAKE, recipe, str(folder), str(int(with_dill))]
    done = subprocess.run(command, env=settings, check=False, capture_output=True, text=True)  # noqa: S603  the release
    return "" if done.returncode == 0 else (done.stderr.strip().split("\n") or ["?"])[-1][:100]


def difference(path: Path, wanted: np.ndarray) -> str:
    """Return how far the output of a file is from what its release computed, or what was said of it."""
    image = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    try:
        found = TorchBackend(path, "cpu").forward(image).predictions
    except CheckpointError as error:
        return f"REFUSED: {str(error).replace(str(path), path.name)}"
    if found.shape != wanted.shape:
        return f"DIFFERENT SHAPE: {found.shape}, of the release {wanted.shape}"
    return f"{float(np.abs(found - wanted).max()):.4f}"


def main() -> None:
    """Print a row a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    parser.add_argument(
        "--dill", action="store_true", help="write with dill 0.3.8, as trainers up to 8.2.50 did"
    )
    parser.add_argument("--keep", type=Path, help="folder for the releases and their files")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as temporary:
        where = args.keep or Path(temporary)
        print("release, recipe, file, greatest difference of the raw output")
        for version in args.versions:
            release = installed(version, where, ("dill==0.3.8",) if args.dill else ())
            if release is None:
                print(f"{version}: PyPI does not give it")
                continue
            for recipe in RECIPES:
                folder = where / f"{version}-{recipe.removesuffix('.yaml')}"
                folder.mkdir(parents=True, exist_ok=True)
                if why := made(release, recipe, folder, args.dill):
                    print(f"{version}, {recipe}: not made ({why})")
                    continue
                wanted = np.load(folder / "wanted.npz")["predictions"]
                for path in sorted(folder.glob("*.pt")):
                    print(f"{version}, {recipe}, {path.name}, {difference(path, wanted)}", flush=True)


if __name__ == "__main__":
    main()
