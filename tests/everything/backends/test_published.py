"""Networks that ultralytics itself has exported."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastsam import FastSAM, Points
from fastsam.errors import CheckpointError, ConfigError
from fastsam.everything.backends.published import Port, published_form, sidecar
from fastsam.masks.maskset import MaskSet

ultralytics = pytest.importorskip("ultralytics")
pytest.importorskip("onnx")

SIDE = 160
IMAGE = [Port("images", (1, 3, SIDE, SIDE))]
SEGMENT = [Port("output0", (1, 37, 525)), Port("output1", (1, 32, 40, 40))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, embedded_weights: Path) -> Path:
    """The embedded checkpoint, exported by ultralytics for one size."""
    made = tmp_path_factory.mktemp("published")
    import torch

    from fastsam.weights.checkpoint import load_checkpoint, network_of

    path = made / "net.pt"
    torch.save({"model": network_of(load_checkpoint(embedded_weights), embedded_weights)}, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its older exporter
        ultralytics.YOLO(path).export(format="onnx", imgsz=SIDE, simplify=False, verbose=False)
    return made


@pytest.fixture(scope="module")
def photo(photographs: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(photographs["bus"]).resize((240, 320)))


def twins(found: MaskSet, wanted: MaskSet) -> NDArray[np.float64]:
    """The best IoU of each wanted mask with one that was found."""
    masks = [found.mask(i) for i in range(len(found))]
    return np.array(
        [
            max((mask & w).sum() / (mask | w).sum() for mask in masks)
            for w in map(wanted.mask, range(len(wanted)))
        ]
    )


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_an_export_gives_the_masks_of_its_checkpoint(
    backend: str, folder: Path, photo: NDArray[np.uint8]
) -> None:
    pytest.importorskip("onnxruntime" if backend == "onnx" else "openvino")
    ours, theirs = FastSAM(folder / "net.pt"), FastSAM(folder / "net.onnx", backend=backend)
    assert theirs.defaults.imgsz == SIDE
    options: dict[str, Any] = {"imgsz": SIDE, "conf": 0.2}
    square = np.ascontiguousarray(photo[40:280])
    wanted, found = ours.open(square, **options).masks, theirs.open(square, **options).masks
    assert len(found) == len(wanted) > 5
    assert twins(found, wanted).min() > 0.98
    # A photo that is not square is padded to the network's size, whose edges then look otherwise to it.
    for pixels in (photo, np.ascontiguousarray(np.rot90(photo))):
        wanted, session = ours.open(pixels, **options).masks, theirs.open(pixels, **options)
        assert np.median(twins(session.masks, wanted)[:8]) > 0.9
    assert len(session.select(Points((120, 150)))) == 1
    with pytest.raises(ConfigError, match=r"imgsz: this network takes images of 160x160.*dynamic=True"):
        theirs.open(photo, imgsz=320)


def test_what_is_no_export_of_theirs() -> None:
    assert published_form({}, IMAGE, SEGMENT, Path("a.onnx")) is None


@pytest.mark.parametrize(
    ("said", "outputs", "problem"),
    [
        ({"task": "detect"}, SEGMENT, "expected a segmentation network, got one of task 'detect'"),
        ({}, [Port("output0", (1, 300, 38)), SEGMENT[1]], r"NMS or an end-to-end head.*nms=False"),
        ({}, SEGMENT[:1], "predictions and prototypes"),
        ({"stride": "x"}, SEGMENT, "predictions and prototypes"),
        ({}, [Port("output0", (1, 36, 525)), SEGMENT[1]], "classes"),
    ],
)
def test_exports_that_cannot_be_decoded(said: dict[str, str], outputs: list[Port], problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        published_form({"task": "segment", "stride": "32", **said}, IMAGE, outputs, Path("a.onnx"))


def test_free_sides_and_half_precision() -> None:
    form = published_form(
        {"task": "segment", "stride": "32"},
        [Port("images", (1, 3, None, None), half=True)],
        [Port("output0", (1, 37, None)), Port("output1", (1, 32, None, None))],
        Path("a.onnx"),
    )
    assert form is not None
    assert (form.size_hw, form.classes) == (None, 1)
    fed = form.fed(np.zeros((1, 3, 32, 64), np.float32))
    assert (fed.shape, fed.dtype) == ((1, 3, 32, 64), np.float16)


def test_what_ultralytics_writes_beside_openvino(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("task: segment\nstride: 32\nnames:\n  0: object\n")
    assert sidecar(tmp_path / "net.xml") | {"names": ""} == {"task": "segment", "stride": "32", "names": ""}
    shutil.rmtree(tmp_path)
    assert sidecar(tmp_path / "net.xml") == {}
