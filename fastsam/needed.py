"""The one way to import a heavy or optional package: late, and with a word on what to install.

The import itself is an ordinary statement, so that the type checker, the editor and the rules on imports
(``[tool.importlinter]`` in pyproject.toml) see it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fastsam.errors import MissingPackageError

__all__ = ["needed"]

# Import name -> what to install, where the two differ.
_DISTRIBUTIONS = {"cv2": "opencv-python", "open_clip": "open_clip_torch", "PIL": "pillow"}


@contextmanager
def needed(package: str, purpose: str) -> Iterator[None]:
    """Say what to install, and what for, if an import inside fails because ``package`` is not there.

    Args:
        package: the import name, such as ``"torch"``.
        purpose: what it is needed for, as the end of the sentence "... is needed to".

    Raises:
        MissingPackageError: the package is not installed. An import that fails for another reason, such as
            a package that is there but broken, fails as it would without this.

    >>> with needed("json", "read settings"):
    ...     import json
    >>> json.loads("1")
    1
    """
    try:
        with _calling_nobody(package.partition(".")[0]):
            yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package.partition(".")[0]:
            raise
        root = package.partition(".")[0]
        name = _DISTRIBUTIONS.get(root, root)
        raise MissingPackageError(
            f"package {name!r} is needed to {purpose}, and is not installed",
            advice=f"install it with: pip install {name}",
        ) from error


@contextmanager
def _calling_nobody(package: str) -> Iterator[None]:
    """Keep packages from calling their makers while they are imported.

    Ultralytics asks public name servers whether there is a network, to look for updates and send events, and
    installs what it misses. OpenVINO reports each import to its maker through a package of its own, and can
    do without that.
    """
    if package in sys.modules:
        yield
        return
    reporter = "openvino_telemetry"
    wanted = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"} if package == "ultralytics" else {}
    asked = {name: os.environ.get(name) for name in wanted}
    muted = package == "openvino" and reporter not in sys.modules
    os.environ.update(wanted)
    if muted:
        sys.modules[reporter] = None  # type: ignore[assignment]  # so Python says that it is not installed
    try:
        yield
    finally:
        if muted:
            sys.modules.pop(reporter, None)
        for name, value in asked.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
