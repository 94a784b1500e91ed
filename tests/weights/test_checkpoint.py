"""Checkpoints: real ones load and compute the same; hostile and damaged ones run nothing and say why."""

from __future__ import annotations

import copy
import functools
import io
import operator
import os
import pathlib
import pickle
import random
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsam.errors import CheckpointError, UnsafeCheckpointError
from fastsam.weights.checkpoint import load_checkpoint, segmentation_model

torch = pytest.importorskip("torch")
tasks = pytest.importorskip("ultralytics.nn.tasks")
from torch import nn  # noqa: E402
from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.nn.modules import Conv, Detect  # noqa: E402
from ultralytics.utils import IterableSimpleNamespace  # noqa: E402

TINY = "tiny yolov8-seg"


@functools.cache
def _built(name: str = TINY) -> Any:
    torch.manual_seed(0)
    if name == TINY:
        recipe = tasks.yaml_model_load("yolov8n-seg.yaml")
        return tasks.SegmentationModel({**recipe, "scales": {"n": [0.33, 0.0625, 128]}}, verbose=False).eval()
    kind = tasks.SegmentationModel if "-seg" in name else tasks.DetectionModel
    return kind(name, verbose=False).eval()


def network(name: str = TINY) -> Any:
    """A fresh copy of an untrained network."""
    return copy.deepcopy(_built(name))


def saved(content: Any, tmp_path: Path, **options: Any) -> Path:
    path = tmp_path / "net.pt"
    torch.save(content, path, **options)
    return path


def output(model: Any) -> Any:
    with torch.inference_mode():
        return model(torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)))[0]


# --- good ones -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["yolov8n-seg.yaml", "yolo11n-seg.yaml", "yolo26n-seg.yaml"])
def test_a_fresh_checkpoint_computes_the_same(tmp_path: Path, name: str) -> None:
    model: Any = segmentation_model(saved({"model": network(name), "train_args": {}}, tmp_path))
    assert not model.training
    ours, theirs = output(model), output(_built(name))
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])
    assert model.names == _built(name).names
    assert [type(m) for m in model.modules()] == [type(m) for m in _built(name).modules()]
    model.fuse(verbose=False)  # as the torch backend does
    assert torch.allclose(output(model)[0], theirs[0], rtol=1e-3, atol=1e-2)


def test_everything_that_a_trainer_stores(tmp_path: Path) -> None:
    half = network().half()
    half.args = get_cfg(overrides={"imgsz": 320})
    half.criterion = half.init_criterion()  # a checkpoint of the middle of a training
    content = {
        "epoch": 3,
        "best_fitness": np.float64(0.25),
        "model": None,
        "ema": half,
        "optimizer": torch.optim.AdamW(network().parameters()).state_dict(),
        "train_args": {"project": pathlib.PurePosixPath("runs/a"), "device": torch.device("cpu"), "lr": 1e-3},
        "train_metrics": {"f4": np.float32(0.5), "n": np.int64(-7), "ok": np.bool_(True), "raw": b"\x00\xff"},
        "big": 2**70,
        "kinds": {torch.float16.__str__(): torch.float16, "shape": torch.Size([2, 3])},
        "ordered": OrderedDict(a=1),
        "set": {"x"},
        "empty": torch.zeros(0, 3),
        "view": torch.arange(12).view(3, 4).T[1:],
        "flags": torch.tensor([True, False]),
    }
    loaded = load_checkpoint(saved(content, tmp_path))
    assert loaded["best_fitness"] == 0.25
    assert loaded["train_metrics"] == {"f4": 0.5, "n": -7, "ok": True, "raw": b"\x00\xff"}
    assert loaded["train_args"] == content["train_args"]
    for same in ("big", "kinds", "ordered", "set", "epoch"):
        assert loaded[same] == content[same]
    for tensor in ("empty", "view", "flags"):
        assert torch.equal(loaded[tensor], content[tensor])
    model: Any = segmentation_model(tmp_path / "net.pt")
    assert next(model.parameters()).dtype == torch.float32
    assert type(model.args) is IterableSimpleNamespace
    assert vars(model.args) == vars(half.args)
    assert not hasattr(model, "criterion")
    assert torch.equal(output(model)[0], output(network().half().float())[0])


def test_heads_that_keep_a_method(tmp_path: Path) -> None:
    model = network()
    model.model[-1].detect = Detect.forward  # ultralytics < 8.1, and with it FastSAM's own checkpoints
    loaded: Any = segmentation_model(saved({"model": model}, tmp_path))
    assert loaded.model[-1].detect is Detect.forward
    assert torch.equal(output(loaded)[0], output(_built())[0])


def test_a_fused_network(tmp_path: Path) -> None:
    fused = network().fuse(verbose=False)
    loaded = segmentation_model(saved({"model": fused}, tmp_path))
    assert torch.equal(output(loaded)[0], output(fused)[0])


@pytest.mark.parametrize(
    ("today", "then"),
    [
        ("ultralytics.nn.modules.conv\nConv\n", "ultralytics.nn.modules\nConv\n"),
        ("ultralytics.utils\nIterable", "ultralytics.yolo.utils\nIterable"),
    ],
)
def test_names_of_early_2023(tmp_path: Path, today: str, then: str) -> None:
    model = network()
    model.args = IterableSimpleNamespace(imgsz=640)
    path = saved({"model": model}, tmp_path)
    before = contents(path)
    assert today.encode() in before["net/data.pkl"]
    rewrite(path, {**before, "net/data.pkl": before["net/data.pkl"].replace(today.encode(), then.encode())})
    assert torch.equal(output(segmentation_model(path))[0], output(_built())[0])


# --- files that are something else -----------------------------------------------------------------


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return path


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected a \.pt file, found nothing"):
        load_checkpoint(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="found a folder"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"just some text", "14 bytes that are something else"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"PK\x03\x04", "truncated"),
        (b"PK\x05\x06" + bytes(18), "truncated"),
        (pickle.dumps({"model": 1}, protocol=2), "bare pickle"),
    ],
)
def test_other_files(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=what):
        segmentation_model(path)


def test_the_format_of_before_torch_1_6(tmp_path: Path) -> None:
    path = saved({"model": network()}, tmp_path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"before 1\.6.*convert it"):
        segmentation_model(path)


@pytest.mark.parametrize("keep", [10, 5000, 0.5, 0.99, -1])
def test_truncated(tmp_path: Path, keep: float) -> None:
    path = saved({"model": network()}, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(CheckpointError, match="truncated"):
        segmentation_model(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (lambda: dict(nn.Conv2d(3, 4, 1).state_dict()), r"keys \['weight', 'bias'\].*state_dict"),
        (lambda: {"model": nn.Conv2d(3, 4, 1).state_dict()}, "found OrderedDict there"),
        (lambda: {"model": torch.ones(3), "ema": torch.ones(3)}, "found Tensor there"),
        (lambda: {"model": nn.Sequential(nn.Conv2d(3, 4, 1))}, "found Sequential there"),
        (dict, "found NoneType there"),
        (list, "dictionary, got list"),
        (lambda: network(), "dictionary, got SegmentationModel"),
        (lambda: {"model": network("yolov8n.yaml")}, "whose head is Detect"),
    ],
)
def test_not_a_segmentation_network(tmp_path: Path, content: Callable[[], Any], what: str) -> None:
    with pytest.raises(CheckpointError, match=what):
        segmentation_model(saved(content(), tmp_path))


def test_a_network_without_layers_or_stride(tmp_path: Path) -> None:
    model = network()
    model.stride = None
    with pytest.raises(CheckpointError, match="stride"):
        segmentation_model(saved({"model": model}, tmp_path))
    model.model = nn.Sequential()
    with pytest.raises(CheckpointError, match="whole YOLO network"):
        segmentation_model(saved({"model": model}, tmp_path))


def test_archives_that_torch_save_does_not_write(tmp_path: Path) -> None:
    path = saved({"epoch": 1}, tmp_path)
    good = contents(path)
    assert load_checkpoint(rewrite(path, good)) == {"epoch": 1}
    bomb = {**good, "net/data/0": bytes(50_000_000)}
    for records, what in (
        ({**good, "net/DATA.pkl": b""}, "same name"),
        ({**good, "other/data.pkl": good["net/data.pkl"]}, "2 folders"),
        ({**good, "net/constants.pkl": b""}, "TorchScript"),
        ({"net/version": b"3"}, r"without data\.pkl"),
        ({**good, "net/byteorder": b"big" if sys.byteorder == "little" else b"little"}, "endian"),
        ({**good, "net/data.pkl": b""}, "cannot be used"),
    ):
        with pytest.raises(CheckpointError, match=what):
            load_checkpoint(rewrite(path, records))
    assert rewrite(path, bomb, zipfile.ZIP_DEFLATED).stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="compressed"):
        load_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", good["net/data.pkl"])
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("net/data.pkl", b"what another reader may take")
    with pytest.raises(CheckpointError, match="same name"):
        load_checkpoint(path)


# --- hostile ones ----------------------------------------------------------------------------------


class Call:
    """Pickles as a call; unpickling it carelessly makes the call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call

    def __call__(self) -> None:
        """Be something that pickle lets be called."""


def python(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


def shell(marker: Path) -> str:
    return f'echo > "{marker}"'


def other_file(marker: Path) -> str:
    """A second, openly hostile file next to the first."""
    path = marker.with_name("second.pt")
    torch.save(Call(os.system, shell(marker)), path)
    return str(path)


def other_array(marker: Path) -> str:
    path = marker.with_name("second.npy")
    np.save(path, np.array([Call(os.system, shell(marker))], dtype=object), allow_pickle=True)
    return str(path)


def evaluated_recipe(marker: Path) -> dict[str, Any]:
    """A network description; ultralytics evaluates ``activation`` when it builds the network."""
    return {
        "nc": 1,
        "activation": f"[{python(marker)}, nn.SiLU()][1]",
        "backbone": [[-1, 1, "Conv", [8, 3, 2]]],
        "head": [[[0], 1, "Segment", ["nc", 32, 256]]],
    }


HOSTILE: dict[str, Callable[[Path], Any]] = {
    "os.system": lambda m: Call(os.system, shell(m)),
    "eval": lambda m: Call(eval, python(m)),
    "exec": lambda m: Call(exec, python(m)),
    "open": lambda m: Call(open, str(m), "w"),
    "subprocess": lambda m: Call(subprocess.call, shell(m), -1, None, None, None, None, None, True, True),
    "partial": lambda m: Call(operator.call, functools.partial(os.system, shell(m))),
    "map": lambda m: Call(list, map(os.system, [shell(m)])),
    "getattr": lambda m: Call(Call(getattr, m, "touch")),
    "methodcaller": lambda m: Call(operator.methodcaller("touch"), m),
    "torch.load": lambda m: Call(functools.partial(torch.load, weights_only=False), other_file(m)),
    "numpy.load": lambda m: Call(np.load, other_array(m), None, True),
    "ultralytics.load": lambda m: Call(tasks.torch_safe_load, other_file(m), False),
    "layer constructor": lambda m: Call(tasks.SegmentationModel, evaluated_recipe(m)),
    "setstate": lambda m: Call(pathlib.Path.touch, m),
}  # fmt: skip
PLACES: dict[str, Callable[[Any], Any]] = {
    "top level": lambda payload: payload,
    "model": lambda payload: {"model": payload},
    "deep in train_args": lambda payload: {"model": None, "train_args": {"a": [1, ({"b": payload},)]}},
    "attribute of a layer": lambda payload: {"model": _with(nn.Conv2d(3, 4, 1), note=payload)},
    "settings": lambda payload: {"model": None, "args": IterableSimpleNamespace(x=payload)},
}


def _with(layer: Any, **attributes: Any) -> Any:
    vars(layer).update(attributes)
    return layer


@pytest.mark.filterwarnings("ignore")  # the careless reader warns
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_run_nothing(tmp_path: Path, kind: str) -> None:
    marker = tmp_path / "ran"
    path = saved({"model": HOSTILE[kind](marker)}, tmp_path)
    try:
        torch.load(path, weights_only=False)
    except Exception as error:  # the payload has run by now, or the assertion fails
        print(error)
    assert marker.exists(), "this payload is harmless, so it tests nothing"
    for place in PLACES.values():
        marker.unlink(missing_ok=True)
        path = saved(place(HOSTILE[kind](marker)), tmp_path)
        with pytest.raises(UnsafeCheckpointError, match="nothing of it was run"):
            load_checkpoint(path)
        assert not marker.exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_hostile_in_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "ran"
    path = saved({"model": Call(os.system, shell(marker))}, tmp_path, pickle_protocol=protocol)
    with pytest.raises(UnsafeCheckpointError):
        load_checkpoint(path)
    assert not marker.exists()


class Pickler(pickle.Pickler):
    """Writes tuples ``("storage", ...)`` as storages, as torch does."""

    def persistent_id(self, thing: Any) -> Any:
        return thing if type(thing) is tuple and thing[:1] == ("storage",) else None


def crafted(tmp_path: Path, content: Any, **records: bytes) -> Path:
    """An archive with a pickle that torch.save would not write; bytes are taken as the pickle itself."""
    buffer = io.BytesIO()
    if not isinstance(content, bytes):
        Pickler(buffer, protocol=2).dump(content)
    rest = {f"net/data/{key}": data for key, data in records.items()}
    return rewrite(
        tmp_path / "net.pt",
        {"net/data.pkl": content if isinstance(content, bytes) else buffer.getvalue()} | rest,
    )


CONV = b"cultralytics.nn.modules.conv\nConv\n"
IDENTITY = b"ctorch.nn.modules.linear\nIdentity\n)\x81"


@pytest.mark.parametrize(
    "pickled",
    [
        b"(S'echo'\nios\nsystem\n.",  # INST: a call without REDUCE
        b"(cos\nsystem\nS'echo'\no.",  # OBJ
        b"\x80\x02" + CONV + b"}X\x0b\x00\x00\x00default_actNsb.",  # BUILD on the class itself
        b"\x80\x02c" + b"a" * 4000 + b"\nb\n.",
        b"\x80\x02" + CONV + b")R.",  # a constructor without arguments
        b"\x80\x02" + CONV + b"K\x01\x85\x81.",  # NEWOBJ with arguments
        b"\x80\x02c__main__\nx\n.",
        b"\x80\x02cbuiltins\ngetattr\ncultralytics.nn.modules.conv\nConv\nX\x08\x00\x00\x00__init__\x86R.",
        b"\x80\x02cbuiltins\ngetattr\nX\x01\x00\x00\x00aX\x07\x00\x00\x00forward\x86R.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
        b"\x80\x02" + IDENTITY + b"X\x01\x00\x00\x00aNs.",  # SETITEM on a layer
        b"\x80\x02" + IDENTITY + b"Na.",  # APPEND to a layer
        b"\x80\x02" + IDENTITY + IDENTITY + b")R.",  # calling a layer
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R.",
        b"\x80\x02X\x01\x00\x00\x00aQ.",  # a persistent id that is no storage
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04echo\x85R.",
        b"\x80\x02\x82\x01.",  # the registry of extensions
    ],
)  # fmt: skip
def test_crafted_pickles_are_refused(tmp_path: Path, pickled: bytes) -> None:
    before = Conv.default_act
    with pytest.raises(UnsafeCheckpointError):
        load_checkpoint(crafted(tmp_path, pickled))
    assert Conv.default_act is before


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        (lambda: {"_forward_pre_hooks": OrderedDict({0: nn.Identity()})}, "a hook on layer Conv2d"),
        (lambda: {"_forward_hooks": {0: 1}}, "a hook"),
        (lambda: {"_state_dict_hooks": [nn.Identity()]}, "a hook"),
        (lambda: {"forward": nn.Identity()}, "Identity as Conv2d.forward"),
        (lambda: {"note": [({"x": nn.Identity()},)]}, "Identity as Conv2d.note"),
        (lambda: {"note": nn.Identity}, "Symbol as Conv2d.note"),
        (lambda: {"note": OrderedDict}, "Symbol as Conv2d.note"),
        (lambda: {"forward": nn.Identity().forward}, "keeping a method as Conv2d.forward"),
        (lambda: {"note": Detect.forward}, "keeping a method as Conv2d.note"),
        (lambda: {"note": IterableSimpleNamespace(x=nn.Identity())}, "Identity as settings.x"),
        (lambda: {"__setstate__": nn.Identity()}, "Identity as Conv2d.__setstate__"),
        (lambda: {"_modules": {"a": 3}}, "int among its _modules"),
        (lambda: {"_modules": 3}, "without _modules"),
        (lambda: {"_parameters": {"a": torch.ones(1)}}, "Tensor among its _parameters"),
        (lambda: {"_buffers": {"a": nn.Identity()}}, "Identity among its _buffers"),
    ],
)  # fmt: skip
def test_layers_hold_nothing_but_data(
    tmp_path: Path, attributes: Callable[[], dict[str, Any]], what: str
) -> None:
    path = saved({"model": _with(nn.Conv2d(3, 4, 1), **attributes())}, tmp_path)
    with pytest.raises(CheckpointError, match=what):
        load_checkpoint(path)


def test_a_setstate_of_the_file_is_not_called(tmp_path: Path) -> None:
    """A second BUILD would call the ``__setstate__`` that the first one left on the instance."""
    state = b"}X\x0c\x00\x00\x00__setstate__" + IDENTITY + b"sb"
    with pytest.raises(CheckpointError, match="without _modules"):
        load_checkpoint(crafted(tmp_path, b"\x80\x02" + IDENTITY + state + b"}b."))


def _tensor(offset: Any, size: Any, stride: Any, count: Any = 4, kind: Any = None, key: str = "0") -> Any:
    storage = ("storage", kind or torch.FloatStorage, key, "cpu", count)
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())


def _wrapped(inner: Any, _: int) -> Any:
    return (inner,)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (_tensor(0, (5,), (1,)), "outside its storage of 4"),
        (_tensor(3, (2,), (1,)), "outside"),
        (_tensor(0, (2, 2), (1, 3)), "outside"),
        (_tensor(0, (10**12,), (0,)), "outside"),
        (_tensor(-1, (1,), (1,)), "whole numbers"),
        (_tensor(0, (2,), (-1,)), "whole numbers"),
        (_tensor(0, (2,), (1, 1)), "without its storage"),
        (_tensor(0, (2.0,), (1,)), "whole numbers"),
        (_tensor(0, (4,), (1,), count=400), "400 torch.float32 claimed, 4"),
        (_tensor(0, (4,), (1,), kind=torch.DoubleStorage), "claimed"),
        ([_tensor(0, (4,), (1,)), _tensor(0, (4,), (1,), kind=torch.IntStorage)], "torch.int32 claimed"),
        (_tensor(0, (4,), (1,), key="7"), "data/7"),
        (Call(torch._utils._rebuild_parameter, 3, True, OrderedDict()), "parameter without its tensor"),
        (Call(torch.Size, [-1]), "whole numbers"),
        (Call(torch.device, "toaster"), "toaster"),
        (Call(OrderedDict, 3), "not made from pairs"),
        (Call(set, [((),)]), "plain values"),
        ({functools.reduce(_wrapped, range(900), ()): 1}, "dictionary keys"),
        (Call(IterableSimpleNamespace, 1), "with arguments"),
        (Call(np.float64(1).__reduce__()[0], 3, b""), "without its type"),
    ],
)
def test_contradictions(tmp_path: Path, content: Any, what: str) -> None:
    path = crafted(tmp_path, {"x": content}, **{"0": np.arange(4, dtype=np.float32).tobytes()})
    with pytest.raises(CheckpointError, match=what):
        load_checkpoint(path)


def test_the_same_tensor_inside_its_bounds(tmp_path: Path) -> None:
    """The control of the test above."""
    path = crafted(tmp_path, {"x": _tensor(1, (3,), (1,))}, **{"0": np.arange(4, dtype=np.float32).tobytes()})
    assert load_checkpoint(path)["x"].tolist() == [1, 2, 3]


def test_layers_that_hold_themselves(tmp_path: Path) -> None:
    ring: Any = nn.Sequential(nn.Identity())
    ring._modules["again"] = ring
    deep: Any = nn.Identity()
    for _ in range(50):
        deep = nn.Sequential(deep)
    wide: Any = nn.Identity()
    for _ in range(25):  # 2 ** 25 visits for whoever walks it
        wide = nn.Sequential(wide, wide)
    for model in (ring, deep, wide):
        with pytest.raises(CheckpointError, match="too deep"):
            load_checkpoint(saved({"model": model}, tmp_path))


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"activation": "nn.SiLU()"}, False),
        ({"activation": "torch.nn.LeakyReLU(negative_slope=0.1, inplace=True)"}, False),
        ({"activation": "__import__('os').system('echo')"}, True),
        ({"activation": "nn.SiLU().__class__"}, True),
        ({"activation": "nn.Module(x)"}, True),
        ({"activation": 3}, True),
        ({"backbone": [[-1, 1, "torch_safe_load", ["second.pt"]]]}, True),
        ({"backbone": [[-1, 1, "nn.modules.os.system", ["echo"]]]}, True),
        ({"head": [[-1, 1, "check_requirements", ["package"]]]}, True),
        ({"head": [3]}, True),
    ],
)
def test_the_description_that_ultralytics_would_evaluate(
    tmp_path: Path, change: dict[str, Any], refused: bool
) -> None:
    model = network()
    model.yaml = {**model.yaml, **change}
    path = saved({"model": model}, tmp_path)
    if refused:
        with pytest.raises(UnsafeCheckpointError, match="network description"):
            segmentation_model(path)
    else:
        assert segmentation_model(path) is not None


def test_damaged_pickles_never_escape(tmp_path: Path) -> None:
    """600 random corruptions of a pickle, with sound archives around them: an answer or our error."""
    layer = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Upsample(scale_factor=2))
    path = saved(
        {"model": layer, "args": IterableSimpleNamespace(a=1), "x": [np.float64(1), {"s"}]}, tmp_path
    )
    records = contents(path)
    rng, outcomes = random.Random(0), {"loaded": 0, "refused": 0}
    for _ in range(600):
        pickled = bytearray(records["net/data.pkl"])
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(pickled))
            if rng.random() < 0.5:
                pickled[at] = rng.randrange(256)
            else:
                pickled[at : at + rng.randint(1, 8)] = rng.randbytes(rng.randint(0, 8))
        try:
            load_checkpoint(rewrite(path, {**records, "net/data.pkl": bytes(pickled)}))
            outcomes["loaded"] += 1
        except CheckpointError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20


def test_flipped_bytes_are_noticed(tmp_path: Path) -> None:
    """One flipped byte in a record fails its CRC; elsewhere it may not matter, but never escapes."""
    path = saved({"model": nn.Conv2d(8, 8, 3)}, tmp_path)
    data, rng, noticed = path.read_bytes(), random.Random(0), 0
    for _ in range(200):
        broken = bytearray(data)
        broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        try:
            load_checkpoint(path)
        except CheckpointError:
            noticed += 1
    assert noticed > 100
