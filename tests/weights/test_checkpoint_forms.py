"""The forms that checkpoints have had from January 2023 on: which run, and what is said of the others."""

from __future__ import annotations

import copy
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn
from ultralytics.utils import IterableSimpleNamespace

from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError, UnsafeCheckpointError
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.images.frame import Frame
from fastsam.weights.checkpoint import load_checkpoint, segmentation_model
from tests.weights.networks import (
    Call,
    Pickler,
    contents,
    crafted,
    network,
    rewrite,
    saved,
    tasks,
    tiny,
    torch,
)


def image() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((1, 3, 64, 96), np.float32)


def raw(model: Any) -> Any:
    """What ultralytics itself gives: predictions and prototypes."""
    with torch.inference_mode():
        return [part[0].numpy() for part in model(torch.from_numpy(image()))[0]]


def test_written_with_dill(tmp_path: Path) -> None:
    """With dill installed, Module._non_persistent_buffers_set names its type by a call of dill."""
    path = saved({"model": network()}, tmp_path)
    records = contents(path)
    plain = b"c__builtin__\nset\n"
    assert plain in records["net/data.pkl"]
    dill = b"cdill._dill\n_load_type\nX\x03\x00\x00\x00set\x85R"
    rewrite(path, {**records, "net/data.pkl": records["net/data.pkl"].replace(plain, dill)})
    assert np.array_equal(TorchBackend(path).forward(image()).predictions, _fused(network())[0])
    other = dill.replace(b"X\x03\x00\x00\x00set", b"X\x04\x00\x00\x00type")
    rewrite(path, {**records, "net/data.pkl": records["net/data.pkl"].replace(plain, other)})
    with pytest.raises(UnsafeCheckpointError, match="dill type 'type'"):
        load_checkpoint(path)


def _fused(model: Any) -> Any:
    return raw(model.fuse(verbose=False))


def test_with_real_dill(tmp_path: Path) -> None:
    dill = pytest.importorskip("dill")
    fused = network().fuse(verbose=False)
    for model in (network(), fused):  # of the fused one, its layers' methods go through dill, too
        path = saved({"model": model}, tmp_path, pickle_module=dill)
        assert np.array_equal(TorchBackend(path).forward(image()).predictions, raw(fused)[0])


@pytest.mark.parametrize("trick", ["other layer", "no method", "no layer"])
def test_a_method_of_dill_is_the_layers_own(tmp_path: Path, trick: str) -> None:
    kind = Call(_load_type, "MethodType")
    function = Call(getattr, type(network().model[0]), "forward_fuse")
    state = {
        "other layer": Call(kind, function, nn.Identity()),
        "no method": Call(kind, 3, nn.Identity()),
        "no layer": Call(kind, function, 3),
    }[trick]
    with pytest.raises(UnsafeCheckpointError, match="MethodType"):
        load_checkpoint(crafted(tmp_path, _of_dill({"a": [state]})))


def _load_type(_: str) -> Any:
    raise NotImplementedError


def _of_dill(content: Any) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(content)
    name = f"c{_load_type.__module__}\n_load_type\n".encode()
    assert name in buffer.getvalue()
    return buffer.getvalue().replace(name, b"cdill._dill\n_load_type\n")


def test_settings_of_january_2023(tmp_path: Path) -> None:
    """Release 8.0.6 kept its settings as OmegaConf objects, which running a network does not need."""
    model = network()
    model.args = IterableSimpleNamespace(imgsz=640)
    path = saved({"model": model}, tmp_path)
    records = contents(path)
    ours = b"cultralytics.utils\nIterableSimpleNamespace\n"
    assert ours in records["net/data.pkl"]
    theirs = b"comegaconf.dictconfig\nDictConfig\n"
    rewrite(path, {**records, "net/data.pkl": records["net/data.pkl"].replace(ours, theirs)})
    assert not hasattr(segmentation_model(path), "args")
    assert TorchBackend(path).forward(image()).predictions.shape[0] == 116


@pytest.mark.parametrize("recipe", ["yolo26n-seg.yaml"])
def test_fused_end_to_end(tmp_path: Path, recipe: str) -> None:
    """What predict() and save() leave has only the one-to-one head; it is decoded as any other."""
    model = tiny(recipe)
    wanted = copy.deepcopy(model)
    wanted.model[-1].end2end = True
    model.model[-1].end2end = True
    model.fuse(verbose=False)
    path = saved({"model": model}, tmp_path)
    backend = TorchBackend(path)
    found = backend.forward(image())
    assert found.predictions.shape[0] == 4 + 80 + 32
    assert found.predictions[4:84].max() <= 1
    best = raw(wanted)[0]  # (300, 6 + 32): x1 y1 x2 y2, score, class, coefficients, best first
    centre, half = found.predictions[:2], found.predictions[2:4] / 2
    corners = np.concatenate([centre - half, centre + half]).T
    scores = found.predictions[4:84].max(axis=0)
    assert np.isclose(scores.max(), best[0, 4], atol=1e-6)
    for box in best[:20, :4]:
        assert np.abs(corners - box).max(axis=1).min() < 0.05
    frame = Frame(np.zeros((64, 96, 3), np.uint8))
    assert backend.segment(frame, SegmentConfig(imgsz=96, conf=1e-9)).scores.max(initial=0) <= 1


def test_a_head_without_a_setter_of_end2end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ultralytics 8.4.0 to 8.4.7 have a property that cannot be set."""
    detect = tasks.Detect
    monkeypatch.setattr(detect, "end2end", property(lambda head: hasattr(head, "one2one_cv2")))
    for recipe in ("yolov8n-seg.yaml", "yolo26n-seg.yaml"):
        found = TorchBackend(saved({"model": tiny(recipe)}, tmp_path)).forward(image())
        assert found.predictions.shape[0] == 116


def yoloe(recipe: str, form: str) -> Any:
    """A YOLOE network in one of the forms that people save."""
    model = tiny(recipe, tasks.YOLOESegModel)
    if form == "bare":
        return model
    generator = torch.Generator().manual_seed(0)
    vectors = nn.functional.normalize(torch.randn(1, 3, 512, generator=generator), dim=-1)
    model.args = {"imgsz": 64}
    model.set_classes(["bus", "person", "wheel"], vectors)
    head = model.model[-1]
    if form != "classes":
        head.fuse(model.pe)
    if form == "prompt-free":
        vocabulary = nn.ModuleList(c[-1] for c in (head.one2one_cv3 if head.end2end else head.cv3))
        model = tiny(recipe, tasks.YOLOESegModel)
        model.args = {"imgsz": 64}
        model.set_classes(["object"], vectors[:, :1])
        model.model[-1].fuse(model.pe)
        model.set_vocab(vocabulary, ["bus", "person", "wheel"])
    return model


@pytest.mark.parametrize("recipe", ["yoloe-11s-seg.yaml", "yoloe-26n-seg.yaml"])
@pytest.mark.parametrize("form", ["classes", "fused classes", "prompt-free"])
def test_yoloe(tmp_path: Path, recipe: str, form: str) -> None:
    model = yoloe(recipe, form)
    backend = TorchBackend(saved({"model": model}, tmp_path))
    assert backend.carried.names == ("bus", "person", "wheel")
    found = backend.forward(image())
    assert found.predictions.shape[0] == 4 + 3 + 32
    assert len(found.maps) == 3  # the vectors of the texts are no feature map
    if not recipe.startswith("yoloe-26"):
        theirs = raw(model)
        assert np.allclose(found.predictions, theirs[0], rtol=1e-3, atol=1e-3)
        assert np.allclose(found.prototypes, theirs[1], rtol=1e-3, atol=1e-3)


def test_yoloe_without_classes(tmp_path: Path) -> None:
    path = saved({"model": yoloe("yoloe-11s-seg.yaml", "bare")}, tmp_path)
    with pytest.raises(CheckpointError, match=r"prompt-free kind \(name ends in -seg-pf\).*set_classes"):
        TorchBackend(path)


def test_classes_that_have_moved(tmp_path: Path) -> None:
    """Releases around 8.3.100 had parts of YOLOE's head in another file."""
    path = saved({"model": yoloe("yoloe-11s-seg.yaml", "classes")}, tmp_path)
    records = contents(path)
    pickled = records["net/data.pkl"]
    for name in (b"Residual", b"SAVPE", b"SwiGLUFFN"):
        now = b"cultralytics.nn.modules.block\n" + name + b"\n"
        assert now in pickled
        pickled = pickled.replace(now, b"cultralytics.nn.modules.head\n" + name + b"\n")
    rewrite(path, {**records, "net/data.pkl": pickled})
    assert TorchBackend(path).forward(image()).predictions.shape[0] == 39


def test_silence_of_yolov9e(tmp_path: Path) -> None:
    model = network()
    model.yaml = {**model.yaml, "backbone": [[-1, 1, "Silence", []], *model.yaml["backbone"]]}
    model.note = nn.Identity()
    path = saved({"model": model}, tmp_path)
    records = contents(path)
    now = b"ctorch.nn.modules.linear\nIdentity\n"
    assert now in records["net/data.pkl"]
    then = b"cultralytics.nn.modules.block\nSilence\n"
    rewrite(path, {**records, "net/data.pkl": records["net/data.pkl"].replace(now, then)})
    assert TorchBackend(path).forward(image()).predictions.shape[0] == 116


@pytest.mark.parametrize("channels", [1, 4, 10])
def test_images_of_other_channels(tmp_path: Path, channels: int) -> None:
    model = network()
    old = model.model[0].conv
    model.model[0].conv = nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    with pytest.raises(CheckpointError, match=rf"RGB images, got one of {channels} channels"):
        TorchBackend(saved({"model": model}, tmp_path))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("models.yolo\nSegmentationModel", "YOLOv5 or YOLOv7"),
        ("models.common\nConv", "YOLOv5 or YOLOv7"),
        (
            "ultralytics.models.yolo.model\nYOLO",
            r"YOLO object, not a checkpoint .*; save it with model.save",
        ),
        ("ultralytics.nn.modules.block\nOfTomorrow", "update them"),
        ("torch.nn.modules.rnn\nLSTM", "update them"),
        ("segment_anything.modeling.sam\nSam", "SAM network"),
        ("os\nsystem", "from a source you trust"),
    ],
)
def test_formats_and_versions_are_not_called_unsafe(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(UnsafeCheckpointError, match=said) as caught:
        load_checkpoint(crafted(tmp_path, b"\x80\x02c" + name.encode() + b"\n)\x81."))
    assert "nothing of it was run" in str(caught.value)
    assert ("source you trust" in str(caught.value)) == (name == "os\nsystem")


def test_a_checkpoint_of_sam(tmp_path: Path) -> None:
    content = {"image_encoder.pos_embed": torch.zeros(1), "mask_decoder.iou.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="this is a SAM checkpoint"):
        segmentation_model(saved(content, tmp_path))


@pytest.mark.parametrize(
    "damage",
    [
        lambda m: setattr(m, "stride", torch.tensor([float("nan")])),
        lambda m: setattr(m, "stride", torch.tensor([1e9])),
        lambda m: delattr(m.model[0], "i"),
        lambda m: setattr(m.model[-1], "f", []),
        lambda m: setattr(m.model[0].conv, "stride", (0, 0)),
        lambda m: setattr(m.model[0].conv, "weight", nn.Parameter(torch.zeros(1))),
        lambda m: delattr(m.model[0], "conv"),
        lambda m: setattr(m.model[-1], "nl", "x"),
        lambda m: setattr(m.model[-1], "nm", -1),
        lambda m: setattr(m, "save", 3),
    ],
)
def test_layers_that_do_not_fit_are_noticed_at_loading(tmp_path: Path, damage: Any) -> None:
    model = network()
    damage(model)
    with pytest.raises(CheckpointError, match=re.escape(str(tmp_path))):
        TorchBackend(saved({"model": model}, tmp_path))


def test_an_endless_value_is_cut_before_it_is_printed(tmp_path: Path) -> None:
    """A tuple that doubles 60 times is small in the file, and has no end in a message."""
    model = network()
    doubled: Any = ()
    for _ in range(60):
        doubled = (doubled, doubled)
    model.yaml = {**model.yaml, "activation": doubled}
    with pytest.raises(UnsafeCheckpointError, match="network description") as caught:
        segmentation_model(saved({"model": model}, tmp_path))
    assert len(str(caught.value)) < 1_000
    content = {"model": network(), "fastsam": {"quality": {"features": doubled}}}
    with pytest.raises(CheckpointError, match="expected the features") as caught:
        TorchBackend(saved(content, tmp_path))
    assert len(str(caught.value)) < 1_000


def test_a_file_says_its_input_size(tmp_path: Path) -> None:
    path = saved({"model": network(), "train_args": {"imgsz": 320}}, tmp_path)
    assert TorchBackend(path).carried.defaults == {"imgsz": 320}
    for odd in ("640", [640, 480], -1, 10**9, None):
        found = TorchBackend(saved({"model": network(), "train_args": {"imgsz": odd}}, tmp_path))
        assert found.carried.defaults == {}
