"""What the names in a YOLO checkpoint's pickle stand for; every other name is refused.

Layer classes are symbols that only :mod:`fastsam.weights.unpickle` can make something of. The calls are
functions of this file, not the classes that the names mean elsewhere; each checks its arguments.
"""

from __future__ import annotations

import importlib
import pathlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam.needed import needed

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "TORCH_LAYERS",
    "DamagedPickleError",
    "Dropped",
    "Method",
    "NumpyType",
    "Storage",
    "Symbol",
    "UnsafePickleError",
    "hashable",
    "layer_classes",
    "lookup",
]

# torch.nn classes that appear in YOLOv8..YOLO26 and FastSAM checkpoints, and the activations of torch.
TORCH_LAYERS = (
    "AdaptiveAvgPool2d", "AvgPool2d", "BatchNorm2d", "CELU", "Conv2d", "ConvTranspose2d", "Dropout",
    "ELU", "GELU", "GroupNorm", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LayerNorm",
    "LeakyReLU", "Linear", "LogSigmoid", "MaxPool2d", "Mish", "ModuleList", "MultiheadAttention",
    "ParameterList", "PReLU", "ReLU", "ReLU6", "SELU", "Sequential", "SiLU", "Sigmoid", "Softmax",
    "Softplus", "Softsign", "SyncBatchNorm", "Tanh", "Tanhshrink", "Upsample", "ZeroPad2d",
)  # fmt: skip
_LAYER_FILES = ("activation", "block", "conv", "head", "transformer", "utils")
_DTYPES = {
    "BFloat16": "bfloat16", "Bool": "bool", "Byte": "uint8", "Char": "int8", "Double": "float64",
    "Float": "float32", "Half": "float16", "Int": "int32", "Long": "int64", "Short": "int16",
}  # fmt: skip
# What running a network does not need: loss objects of a network that was saved in the middle of its
# training, and settings as the first releases kept them (8.0.6 wrote OmegaConf objects, 8.0.35 no longer).
_DROPPED_FILES = re.compile(
    r"(ultralytics\.(yolo\.)?(utils\.(loss|tal)|v8\.\w+\.train)|torch\.nn\.modules\.loss)\.\w+"
    r"|omegaconf(\.\w+)+|typing\.Any|collections\.defaultdict|(builtins|__builtin__)\.(bool|dict|float|int|list|long|str|tuple|unicode)"
)
_MODULES = "ultralytics.nn.modules"


class UnsafePickleError(Exception):
    """The pickle asks for something that is not on the list; nothing of it was run."""


class DamagedPickleError(Exception):
    """The pickle, or a tensor of it, contradicts itself."""


class Dropped:
    """Stands where the file has an object that running a network does not need."""


@dataclass(frozen=True, eq=False)
class Symbol:
    """What a name in the file stands for: a layer class, a storage type, a call, or a class to drop."""

    name: str
    kind: str
    value: Any = None


@dataclass(frozen=True, eq=False)
class Storage:
    """One record of the archive as a flat tensor."""

    flat: Tensor


@dataclass(frozen=True, eq=False)
class Method:
    """``getattr(owner, name)`` as the file wrote it; becomes a method only where layers keep one."""

    owner: Any
    name: str


class NumpyType:
    """A plain numpy number type, by its code."""

    def __init__(self, code: Any = "", align: Any = False, copy: Any = False) -> None:
        if type(code) is not str or not re.fullmatch(r"b1|[iu][1248]|f[248]", code):
            raise UnsafePickleError(f"numpy type {_shown(code)}")
        self.code, self.order = code, "="

    def set_state(self, state: Any) -> None:
        """Take the byte order from what numpy writes; the rest describes types that we refuse."""
        if type(state) is tuple and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]


def _shown(value: Any) -> str:
    return repr(value[:40]) if type(value) is str else type(value).__name__


def hashable(keys: Iterable[Any]) -> bool:
    """Tell whether dictionary keys are plain; hashing a deep tuple would overflow the stack."""
    return all(type(key) in (str, int, float, bool, type(None)) for key in keys)


def _numpy_number(kind: Any, raw: Any) -> Any:
    if type(kind) is not NumpyType or type(raw) is not bytes:
        raise DamagedPickleError("a numpy number without its type")
    return np.frombuffer(raw, kind.order + kind.code)[0].item()


def _bytes(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding != "latin1":
        raise UnsafePickleError(f"text encoding {_shown(encoding)}")
    return text.encode("latin1")


def _no_bytes(*args: Any) -> bytes:
    if args:
        raise UnsafePickleError("builtins.bytes with arguments")
    return b""


def _path(*parts: Any) -> pathlib.PurePosixPath:
    if not all(type(part) is str for part in parts):
        raise DamagedPickleError("a path that is not made of text")
    return pathlib.PurePosixPath(*parts)


def _dill_type(name: Any) -> Symbol:
    """Return what dill means by a type's name.

    Where dill was installed, ultralytics 8.0.101 to 8.2.50 trained with it, and saved with it until 8.3.
    """
    kinds = {
        "set": Symbol("builtins.set", "call", _set),
        "MethodType": Symbol("types.MethodType", "call", _bound),
    }
    if type(name) is not str or name not in kinds:
        raise UnsafePickleError(f"dill type {_shown(name)}")
    return kinds[name]


def _bound(function: Any, owner: Any) -> Method:
    """Return a layer's own method, as dill takes it apart."""
    with needed("torch", "read checkpoints"):
        from torch import nn
    if type(function) is not Method or not isinstance(owner, nn.Module):
        raise UnsafePickleError("types.MethodType")
    if type(function.owner) is not Symbol or not isinstance(owner, function.owner.value):
        raise UnsafePickleError("types.MethodType of another layer")
    return Method(owner, function.name)


def _set(items: Any = ()) -> set[Any]:
    if type(items) not in (list, tuple) or not hashable(items):
        raise DamagedPickleError("a set that is not made from a list of plain values")
    return set(items)


def _ordered_dict(items: Any = ()) -> OrderedDict[Any, Any]:
    pairs = type(items) in (list, tuple) and all(type(p) in (list, tuple) and len(p) == 2 for p in items)
    if not pairs or not hashable(key for key, _ in items):
        raise DamagedPickleError("a dictionary that is not made from pairs")
    return OrderedDict(items)


def _method(owner: Any, name: Any) -> Method:
    with needed("torch", "read checkpoints"):
        from torch import nn
    of_layer = isinstance(owner, nn.Module) or (type(owner) is Symbol and owner.kind == "layer")
    if not of_layer or name not in ("forward", "forward_fuse"):
        raise UnsafePickleError("builtins.getattr")
    return Method(owner, name)


def _whole(numbers: Any) -> tuple[int, ...]:
    if not isinstance(numbers, tuple) or any(type(n) is not int or n < 0 for n in numbers):
        raise DamagedPickleError("a tensor whose shape is not made of whole numbers")
    return tuple(numbers)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, grad: Any, *_hooks: Any) -> Tensor:
    """Rebuild a tensor after checking that it lies inside its storage."""
    with needed("torch", "read checkpoints"):
        import torch
    (offset,), size, stride = _whole((offset,)), _whole(size), _whole(stride)
    if type(storage) is not Storage or len(size) != len(stride):
        raise DamagedPickleError("a tensor without its storage")
    count, last = 1, offset
    for length, step in zip(size, stride, strict=True):
        count *= length
        last += (length - 1) * step
    held = storage.flat.numel()
    if count and (last >= held or count > held):
        raise DamagedPickleError(f"a tensor of shape {size} outside its storage of {held} numbers")
    tensor: Tensor = torch.empty(0, dtype=storage.flat.dtype)
    if count:
        tensor.set_(storage.flat.untyped_storage(), offset, size, stride)
    else:
        tensor = torch.empty(size, dtype=storage.flat.dtype)
    return tensor.requires_grad_(bool(grad) and tensor.is_floating_point())


def _parameter(data: Any, grad: Any = True, *_hooks: Any) -> Tensor:
    with needed("torch", "read checkpoints"):
        import torch
    if not isinstance(data, torch.Tensor):
        raise DamagedPickleError("a parameter without its tensor")
    parameter: Tensor = torch.nn.Parameter(data, bool(grad) and data.is_floating_point())
    return parameter


def _size(lengths: Any = ()) -> Any:
    with needed("torch", "read checkpoints"):
        import torch
    return torch.Size(_whole(lengths))


def _device(kind: Any, index: Any = None) -> Any:
    if type(kind) is not str:
        raise DamagedPickleError("a device that is not named by text")
    with needed("torch", "read checkpoints"):
        import torch
    return torch.device(kind if type(index) is not int else f"{kind}:{index}")


def _namespace(*args: Any) -> Any:
    if args:
        raise DamagedPickleError("a namespace with arguments")
    with needed("ultralytics", "read YOLO checkpoints"):
        from ultralytics.utils import IterableSimpleNamespace
    return IterableSimpleNamespace()


@lru_cache(maxsize=1)
def layer_classes() -> dict[str, type[Any]]:
    """Return the network classes that a checkpoint may hold, by the names that files use."""
    with needed("torch", "read checkpoints"):
        import torch
    with needed("ultralytics", "read YOLO checkpoints"):
        from ultralytics.nn import tasks
    layers: dict[str, type[Any]] = {}
    for name in TORCH_LAYERS:
        value = getattr(torch.nn, name)
        layers[f"{value.__module__}.{name}"] = value
    for part in _LAYER_FILES:
        module = importlib.import_module(f"{_MODULES}.{part}")
        for name, value in vars(module).items():
            if (
                isinstance(value, type)
                and issubclass(value, torch.nn.Module)
                and value.__module__.startswith(
                    f"{_MODULES}."
                )  # also those that have moved from here to another
            ):
                layers[f"{module.__name__}.{name}"] = value
                layers[f"{_MODULES}.{name}"] = value  # where ultralytics < 8.0.120 had them
    layers[f"{_MODULES}.block.Silence"] = torch.nn.Identity  # of YOLOv9e, until 8.2.45
    for name, value in vars(tasks).items():
        if isinstance(value, type) and issubclass(value, tasks.BaseModel):
            layers[f"ultralytics.nn.tasks.{name}"] = value
    return layers


@lru_cache(maxsize=1)
def _known() -> dict[str, Any]:
    """Return what each known name stands for: a symbol, or a torch dtype."""
    with needed("torch", "read checkpoints"):
        import torch
    calls: dict[str, Callable[..., Any]] = {
        "_codecs.encode": _bytes,
        "dill._dill._load_type": _dill_type,
        "collections.OrderedDict": _ordered_dict,
        "numpy.dtype": NumpyType,
        "torch.Size": _size,
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch.device": _device,
        "ultralytics.utils.IterableSimpleNamespace": _namespace,
        "ultralytics.yolo.utils.IterableSimpleNamespace": _namespace,
    }
    for builtins in ("builtins", "__builtin__"):  # protocol 2 writes Python 2's name
        calls |= {f"{builtins}.set": _set, f"{builtins}.getattr": _method, f"{builtins}.bytes": _no_bytes}
    for core in ("core", "_core"):
        calls[f"numpy.{core}.multiarray.scalar"] = _numpy_number
    for place in ("pathlib", "pathlib._local"):
        calls |= {f"{place}.{kind}Path": _path for kind in ("Posix", "Windows", "PurePosix", "PureWindows")}
    names: dict[str, Any] = {name: Symbol(name, "layer", value) for name, value in layer_classes().items()}
    names |= {name: Symbol(name, "call", value) for name, value in calls.items()}
    for storage, dtype in _DTYPES.items():
        names[f"torch.{dtype}"] = getattr(torch, dtype)
        names[f"torch.{storage}Storage"] = Symbol(storage, "storage", getattr(torch, dtype))
    return names


def lookup(name: str) -> Any:
    """Return what a dotted name in a pickle stands for.

    Raises:
        UnsafePickleError: it is not on the list.
    """
    known = _known().get(name)
    if known is None:
        if not _DROPPED_FILES.fullmatch(name):
            raise UnsafePickleError(name[:100])
        known = Symbol(name, "dropped")
    return known
