"""Hostile checkpoints run nothing and say why."""

from __future__ import annotations

import functools
import operator
import os
import pathlib
import random
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn
from ultralytics.nn.modules import Conv, Detect
from ultralytics.utils import IterableSimpleNamespace

from fastsam.errors import CheckpointError, UnsafeCheckpointError
from fastsam.weights.checkpoint import load_checkpoint, segmentation_model
from tests.weights.networks import (
    CONV,
    IDENTITY,
    Call,
    contents,
    crafted,
    network,
    rewrite,
    saved,
    tasks,
    torch,
)


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
