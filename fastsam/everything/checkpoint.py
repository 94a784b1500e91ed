"""Loading YOLO segmentation checkpoints without running what is pickled in them.

A YOLO ``.pt`` file is a pickle of whole module objects; ``torch.load`` without ``weights_only`` would
run any code that a stranger put into it. Here only an allow-list of classes may be named by the file:
those that YOLO segmentation checkpoints need. Everything else is refused before anything of it runs.
"""

from __future__ import annotations

import pathlib
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam.errors import CheckpointError, UnsafeCheckpointError
from fastsam.optional import require

if TYPE_CHECKING:
    from torch import nn

__all__ = ["load_checkpoint", "segmentation_model"]

# torch.nn classes that appear in YOLOv5..YOLO26 and FastSAM checkpoints; none runs user data.
_TORCH_CLASSES = (
    "AdaptiveAvgPool2d AvgPool2d BatchNorm2d Conv2d ConvTranspose2d Dropout GELU GroupNorm Hardswish "
    "Identity LayerNorm LeakyReLU Linear MaxPool2d Mish ModuleList MultiheadAttention ParameterList "
    "ReLU ReLU6 Sequential SiLU Sigmoid Softmax SyncBatchNorm Tanh Upsample ZeroPad2d"
).split()
_ULTRALYTICS_MODULES = ("block", "conv", "head", "transformer", "activation", "utils")


@lru_cache(maxsize=1)
def _allowed() -> tuple[Any, ...]:
    """Return torch's allow-list entries: classes, and (class, name in old files) pairs."""
    numpy_core: Any
    import numpy as np

    numpy_core = require("numpy._core.multiarray", "read checkpoints")
    nn = require("torch.nn", "read checkpoints")
    torch = require("torch", "read checkpoints")
    tasks = require("ultralytics.nn.tasks", "read YOLO checkpoints")
    namespace = require("ultralytics.utils", "read YOLO checkpoints").IterableSimpleNamespace

    entries: list[Any] = [set, torch.Size, torch.nn.Parameter]
    for name in _TORCH_CLASSES:
        entries.append(getattr(nn, name))
    for part in _ULTRALYTICS_MODULES:
        module = require(f"ultralytics.nn.modules.{part}", "read YOLO checkpoints")
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__:
                entries.append(value)
                entries.append((value, f"ultralytics.nn.modules.{name}"))  # ultralytics < 8.0.120
    for name in ("SegmentationModel", "DetectionModel", "BaseModel"):
        entries.append(getattr(tasks, name))
    entries += [namespace, (namespace, "ultralytics.yolo.utils.IterableSimpleNamespace")]
    # Metrics and settings that trainers store beside the weights.
    entries += [numpy_core.scalar, (numpy_core.scalar, "numpy.core.multiarray.scalar"), np.dtype]
    entries += [type(np.dtype(code)) for code in ("f2", "f4", "f8", "i4", "i8")]
    for old in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
        entries.append((pathlib.PurePosixPath, f"pathlib.{old}"))
        entries.append((pathlib.PurePosixPath, f"pathlib._local.{old}"))
    return tuple(entries)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint's dictionary; only allow-listed classes are built.

    Raises:
        UnsafeCheckpointError: the file names code outside the allow-list; none of it ran.
        CheckpointError: there is no such file, or it is truncated or no PyTorch checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path}: expected a .pt file, found {'a folder' if path.is_dir() else 'nothing'}")
    if path.stat().st_size == 0:
        raise CheckpointError(f"checkpoint {path}: the file is empty; download it again")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"checkpoint {path}: expected a PyTorch .pt archive, got a truncated or different file of "
            f"{path.stat().st_size} bytes; download it again"
        )
    torch = require("torch", "read checkpoints")
    pickle_error = require("pickle", "read checkpoints").UnpicklingError
    try:
        with torch.serialization.safe_globals(list(_allowed())):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle_error as error:
        reason = str(error).split("WeightsUnpickler error: ")[-1].split("\n")[0].split(". Please")[0]
        raise UnsafeCheckpointError(
            f"checkpoint {path}: refused, because it asks for code that YOLO segmentation checkpoints do "
            f"not need ({reason}); nothing of it was run. Use a checkpoint from a source you trust"
        ) from error
    except Exception as error:  # torch's reader raises many kinds on damaged archives
        raise CheckpointError(f"checkpoint {path}: cannot be read ({error}); download it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"checkpoint {path}: expected a YOLO checkpoint dictionary, got {type(content).__name__}"
        )
    return content


def segmentation_model(path: str | Path) -> nn.Module:
    """Return the float32 segmentation network of a checkpoint, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: as :func:`load_checkpoint`, or the file holds no YOLO segmentation network.
    """
    content = load_checkpoint(path)
    torch = require("torch", "run the network")
    model = content.get("ema") or content.get("model")
    layers = getattr(model, "model", None)
    if not isinstance(model, torch.nn.Module) or layers is None:
        raise CheckpointError(
            f"checkpoint {path}: expected a whole YOLO model under 'model', found keys {sorted(content)[:8]}; "
            "a bare state_dict does not say which network it belongs to"
        )
    if not hasattr(layers[-1], "proto"):
        raise CheckpointError(
            f"checkpoint {path}: expected a YOLO *segmentation* network (name ends in -seg, or FastSAM), "
            f"got one whose head is {type(layers[-1]).__name__}"
        )
    model = model.float().eval()
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = True
        elif isinstance(module, torch.nn.Upsample) and not hasattr(module, "recompute_scale_factor"):
            module.recompute_scale_factor = None  # files of torch < 1.11
    return model
