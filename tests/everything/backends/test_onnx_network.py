"""A converted network in ONNX Runtime finds what the checkpoint finds in PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError, ConfigError, MissingPackageError
from fastsam.everything.backends.converted import NetworkCard, output_names, wanted_threads
from fastsam.everything.backends.onnx_network import OnnxBackend
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.images.frame import Frame
from tests.everything.same_masks import PHOTOGRAPHS, assert_same_masks

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def ours(converted_weights: Path) -> OnnxBackend:
    return OnnxBackend(converted_weights)


@pytest.fixture(scope="module")
def wanted(embedded_weights: Path) -> TorchBackend:
    return TorchBackend(embedded_weights, "cpu")


@pytest.mark.parametrize(("name", "imgsz"), PHOTOGRAPHS)
def test_masks_are_those_of_torch(
    name: str,
    imgsz: int,
    ours: OnnxBackend,
    wanted: TorchBackend,
    photographs: dict[str, NDArray[np.uint8]],
) -> None:
    frame = Frame(photographs[name])
    config = SegmentConfig(conf=0.4, imgsz=imgsz, quality=False)
    found = ours.segment(frame, config)
    assert_same_masks(found, wanted.segment(frame, config), 0.4)
    assert found.times_ms.keys() == {"prepare", "network", "decode"}


def test_calibrated_scores_are_those_of_torch(
    ours: OnnxBackend, wanted: TorchBackend, photographs: dict[str, NDArray[np.uint8]]
) -> None:
    frame, config = Frame(photographs["bus"]), SegmentConfig(conf=0.2, imgsz=640)
    assert ours.carried.quality is not None
    one, two = ours.segment(frame, config), wanted.segment(frame, config)
    assert len(one) == len(two) > 10
    assert np.allclose(one.scores, two.scores, atol=2e-3)
    assert ours.stride == wanted.stride


@pytest.mark.parametrize("net_hw", [(32, 32), (640, 480), (96, 1024)])
def test_the_bare_network_gives_what_torch_gives(
    net_hw: tuple[int, int], ours: OnnxBackend, wanted: TorchBackend
) -> None:
    image = np.random.default_rng(0).random((1, 3, *net_hw), dtype=np.float32)
    mine, other = ours.forward(image), wanted.forward(image)
    for one, two in zip([*mine[:2], *mine[2]], [*other[:2], *other[2]], strict=True):
        assert one.dtype == two.dtype
        assert one.shape == two.shape
        assert np.allclose(one.astype(np.float32), two.astype(np.float32), rtol=1e-3, atol=1e-2)


def test_nothing_found_is_an_empty_set(ours: OnnxBackend) -> None:
    grey = Frame(np.full((97, 131, 3), 114, np.uint8))
    found = ours.segment(grey, SegmentConfig(conf=1.0, imgsz=64))
    assert np.asarray(found).shape == (0, 97, 131)


PROMPT_WITHOUT_TORCH = """
import sys
import numpy as np
from fastsam import Box, FastSAM, Points
model = FastSAM(sys.argv[1] or None, backend=sys.argv[2])
session = model.open(np.full((60, 80, 3), 200, np.uint8), conf=0.0, imgsz=64, max_det=5)
assert len(session.everything()) == 5
assert len(session.select(Box([10, 10, 50, 50]))) == 1
session.select(Points((20, 20)))
print(type(model.segmenter).__name__, [name for name in ("torch", "ultralytics") if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("converted", "backend", "used"),
    [
        (True, "auto", "OnnxBackend"),
        (True, "openvino", "OpenVinoBackend"),
        (False, "onnx", "OnnxBackend"),
        (False, "openvino", "OpenVinoBackend"),
    ],
)
def test_prompts_are_answered_without_torch(
    converted: bool, backend: str, used: str, converted_weights: Path, embedded_weights: Path
) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    weights = converted_weights if converted else embedded_weights  # the latter is in the cache by now
    done = subprocess.run(
        [sys.executable, "-c", PROMPT_WITHOUT_TORCH, str(weights), backend],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{used} []"


def network(path: Path, metadata: str | None, outputs: list[str]) -> Path:
    """Write a small ONNX network that hands its input on."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    made = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["image"], [name]) for name in outputs],
            "small",
            [helper.make_tensor_value_info("image", kind, [1, 3, None, None])],
            [helper.make_tensor_value_info(name, kind, [1, 3, None, None]) for name in outputs],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    if metadata is not None:
        helper.set_model_props(made, {"fastsam": metadata})
    path.write_bytes(made.SerializeToString())
    return path


CARD = json.loads(NetworkCard("ab" * 32, 32, 1, 3).to_json())
WRONG_CARDS: list[tuple[Any, str]] = [
    (None, "without fastsam's metadata; make it with: fastsam export-model"),
    ("{", "metadata are damaged"),
    ("[]", "metadata are damaged"),
    (json.dumps({"format": 1}), "metadata are damaged"),
    (json.dumps(CARD | {"format": 99}), "expected format 1, got 99"),
    (json.dumps(CARD | {"box_growth": 7}), "box_growth from 0 to 1 .*got 7"),
    (json.dumps(CARD | {"stride": 0}), "counts of at least 1"),
    (json.dumps(CARD | {"quality": {"features": ["x"]}}), "calibrate the checkpoint again"),
    (json.dumps(CARD | {"defaults": {"imgsz": -1}}), "defaults are damaged .imgsz"),
    (json.dumps(CARD | {"defaults": {"nonsense": 1}}), "defaults are damaged .*nonsense"),
]


@pytest.mark.parametrize(("metadata", "said"), WRONG_CARDS)
def test_a_network_that_is_none_of_ours(metadata: str | None, said: str, tmp_path: Path) -> None:
    path = network(tmp_path / "other.onnx", metadata, output_names(3))
    with pytest.raises(CheckpointError, match=said) as caught:
        OnnxBackend(path)
    assert str(caught.value).count(str(path)) == 1


def test_a_network_without_the_feature_maps(tmp_path: Path) -> None:
    path = network(tmp_path / "other.onnx", json.dumps(CARD), ["output0", "output1"])
    with pytest.raises(
        CheckpointError, match="outputs predictions, prototypes, map0, map1, map2; got image and"
    ):
        OnnxBackend(path)


@pytest.mark.parametrize("content", [b"", b"<html>", b"junk" * 100, None])
def test_a_file_that_is_no_network(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.onnx: expected an") as caught:
        OnnxBackend(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_file(converted_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(converted_weights.read_bytes()[:2_000_000])
    with pytest.raises(CheckpointError, match="ONNX Runtime cannot read it"):
        OnnxBackend(path)


@pytest.mark.parametrize("device", ["banana", "", "cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there(device: str, converted_weights: Path) -> None:
    import onnxruntime

    if device == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build can use cuda")
    with pytest.raises(ConfigError, match="device: ") as caught:
        OnnxBackend(converted_weights, device)
    assert repr(device) in str(caught.value)


def test_the_package_is_named_where_it_is_missing(
    converted_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match="pip install onnxruntime"):
        OnnxBackend(converted_weights)


@pytest.mark.parametrize(
    ("value", "threads"), [(None, 0), ("", 0), ("3", 3), ("4,2", 4), (" 2 ", 2), ("no", 0), ("-1", 0)]
)
def test_threads(value: str | None, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if value is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert wanted_threads() == threads


def test_a_card_comes_back_as_it_was(ours: OnnxBackend) -> None:
    card = NetworkCard.from_json(ours.card.to_json(), Path("x"))
    assert card.to_json() == ours.card.to_json()
    assert card.carried.quality is not None
    assert (card.stride, card.classes, card.maps) == (32, 1, 3)
