"""The one way to import a heavy or optional package."""

from __future__ import annotations

import importlib
from types import ModuleType

from fastsam.errors import MissingPackageError

__all__ = ["require"]

# Import name -> what to install, where the two differ.
_DISTRIBUTIONS = {"cv2": "opencv-python", "open_clip": "open_clip_torch", "PIL": "pillow"}


def require(module: str, purpose: str) -> ModuleType:
    """Import and return ``module``, or say what to install and what for.

    Args:
        module: dotted import name, such as ``"pycocotools.mask"``.
        purpose: what it is needed for, as the end of the sentence "... is needed to".

    Raises:
        MissingPackageError: the package is not installed.

    >>> require("json", "read settings").loads("1")
    1
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise  # the package is there, but something that it needs is broken: show that
        name = _DISTRIBUTIONS.get(root, root)
        raise MissingPackageError(
            f"package {name!r} is needed to {purpose}, and is not installed; "
            f"install it with: pip install {name}"
        ) from error
