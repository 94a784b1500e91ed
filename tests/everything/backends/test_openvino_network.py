"""A converted network in OpenVINO, from ONNX or its own pair of files, finds what torch finds."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError, ConfigError, ExportError, MissingPackageError
from fastsam.everything.backends.converted import output_names
from fastsam.everything.backends.openvino_network import OpenVinoBackend, write_ir
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.images.frame import Frame
from tests.everything.backends.test_onnx_network import WRONG_CARDS, network
from tests.everything.same_masks import PHOTOGRAPHS, assert_same_masks

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def ours(converted_weights: Path) -> OpenVinoBackend:
    return OpenVinoBackend(converted_weights)


@pytest.fixture(scope="module")
def wanted(embedded_weights: Path) -> TorchBackend:
    return TorchBackend(embedded_weights, "cpu")


@pytest.fixture(scope="module")
def pair(converted_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in OpenVINO's own two files."""
    path = tmp_path_factory.mktemp("openvino") / "deeper" / "nano.xml"
    write_ir(converted_weights, path)
    return path


@pytest.mark.parametrize(("name", "imgsz"), PHOTOGRAPHS)
def test_masks_are_those_of_torch(
    name: str,
    imgsz: int,
    ours: OpenVinoBackend,
    wanted: TorchBackend,
    photographs: dict[str, NDArray[np.uint8]],
) -> None:
    frame = Frame(photographs[name])
    config = SegmentConfig(conf=0.4, imgsz=imgsz, quality=False)
    found = ours.segment(frame, config)
    assert_same_masks(found, wanted.segment(frame, config), 0.4)
    assert found.times_ms.keys() == {"prepare", "network", "decode"}


@pytest.mark.parametrize("net_hw", [(32, 32), (640, 480), (96, 1024)])
def test_the_bare_network_gives_what_torch_gives(
    net_hw: tuple[int, int], ours: OpenVinoBackend, wanted: TorchBackend
) -> None:
    image = np.random.default_rng(0).random((1, 3, *net_hw), dtype=np.float32)
    mine, other = ours.forward(image), wanted.forward(image)
    for one, two in zip([*mine[:2], *mine[2]], [*other[:2], *other[2]], strict=True):
        assert one.dtype == two.dtype
        assert one.shape == two.shape
        assert np.allclose(one.astype(np.float32), two.astype(np.float32), rtol=1e-3, atol=1e-2)


def test_its_own_files_say_and_compute_the_same(pair: Path, ours: OpenVinoBackend) -> None:
    own = OpenVinoBackend(pair)
    assert own.card.to_json() == ours.card.to_json()
    assert sorted(file.name for file in pair.parent.iterdir()) == ["nano.bin", "nano.xml"]
    image = np.random.default_rng(1).random((1, 3, 64, 96), dtype=np.float32)
    for one, two in zip(own.forward(image)[:2], ours.forward(image)[:2], strict=True):
        assert np.allclose(one, two, rtol=1e-4, atol=1e-4)


def test_outputs_outlive_the_next_pass_and_other_threads(ours: OpenVinoBackend) -> None:
    images = [np.full((1, 3, 64, 64 + 32 * k), 0.2 * k, np.float32) for k in range(4)]
    wanted = [ours.forward(image)[0].copy() for image in images]
    found: dict[int, list[NDArray[np.float32]]] = {k: [] for k in range(4)}

    def ask(k: int) -> None:
        for _ in range(5):
            found[k].append(ours.forward(images[k])[0])

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, values in found.items():
        assert len(values) == 5
        assert all(np.array_equal(value, wanted[k]) for value in values)


def test_nothing_found_is_an_empty_set(ours: OpenVinoBackend) -> None:
    grey = Frame(np.full((97, 131, 3), 114, np.uint8))
    found = ours.segment(grey, SegmentConfig(conf=1.0, imgsz=64))
    assert np.asarray(found).shape == (0, 97, 131)


@pytest.mark.parametrize(("metadata", "said"), WRONG_CARDS)
def test_a_network_that_is_none_of_ours(metadata: str | None, said: str, tmp_path: Path) -> None:
    path = network(tmp_path / "other.onnx", metadata, output_names(3))
    with pytest.raises(CheckpointError, match=said):
        OpenVinoBackend(path)
    with pytest.raises(CheckpointError, match=said):
        write_ir(path, tmp_path / "x.xml")
    assert not (tmp_path / "x.xml").exists()


def test_a_network_without_the_feature_maps(tmp_path: Path, ours: OpenVinoBackend) -> None:
    path = network(tmp_path / "other.onnx", ours.card.to_json(), ["output0", "output1"])
    with pytest.raises(
        CheckpointError, match="outputs predictions, prototypes, map0, map1, map2, backbone0, backbone1; got"
    ):
        OpenVinoBackend(path)


@pytest.mark.parametrize("name", ["x.onnx", "x.xml"])
@pytest.mark.parametrize("content", [b"", b"<html>", b"<net></net>", None])
def test_a_file_that_is_no_network(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
        path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"network .*x\.(onnx|xml): expected") as caught:
        OpenVinoBackend(path)
    assert "\n" not in str(caught.value)


def test_half_of_the_pair(pair: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copy(pair, tmp_path / "nano.xml"))
    with pytest.raises(CheckpointError, match=r"expected a file nano\.bin there, found none"):
        OpenVinoBackend(alone)
    alone.with_suffix(".bin").write_bytes(pair.with_suffix(".bin").read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r"network .*nano\.xml: "):
        OpenVinoBackend(alone)


@pytest.mark.parametrize("device", ["banana", "", "cuda:1"])
def test_a_device_that_is_not_there(device: str, converted_weights: Path) -> None:
    with pytest.raises(ConfigError, match="device: expected auto or one that OpenVINO finds") as caught:
        OpenVinoBackend(converted_weights, device)
    assert repr(device) in str(caught.value)


def test_a_target_that_cannot_be_written(converted_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExportError, match=r"x\.xml: cannot be written"):
        write_ir(converted_weights, tmp_path / "file" / "x.xml")


def test_the_package_is_named_where_it_is_missing(
    converted_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingPackageError, match="pip install openvino"):
        OpenVinoBackend(converted_weights)
