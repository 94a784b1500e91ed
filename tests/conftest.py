"""Fixtures that several test modules share: photographs, weights, hypothesis' settings."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from PIL import Image

# Before anything imports ultralytics: it would look for updates, and install what it misses.
os.environ.setdefault("YOLO_OFFLINE", "True")
os.environ.setdefault("YOLO_AUTOINSTALL", "False")
os.environ.setdefault("YOLO_VERBOSE", "False")
# And before torch: on a busy machine its threads wait for each other; one is several times faster there.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What processes keep for later ones belongs to the tests, too. The workers of a run inherit one folder: what
# one has converted, fitted or encoded, the others do not do again.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _CACHE = tempfile.TemporaryDirectory(prefix="fastsam-tests-", ignore_cleanup_errors=True)
    os.environ["XDG_CACHE_HOME"] = _CACHE.name

_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
settings.register_profile(
    "fixed", max_examples=60, deadline=None, derandomize=True, suppress_health_check=_SLOW
)
settings.register_profile("explore", max_examples=400, deadline=None, suppress_health_check=_SLOW)
settings.load_profile("fixed")  # another with --hypothesis-profile=explore


@pytest.fixture(scope="session", autouse=True)
def _loaded_once() -> Iterator[None]:
    """Each checkpoint is loaded once in a process."""
    from tests.shared_networks import loaded_once

    with loaded_once():
        yield


@pytest.fixture(scope="module")
def seen_once() -> Iterator[None]:
    """A module's tests look at the same photo with the same options once."""
    from tests.shared_networks import seen_once

    with seen_once():
        yield


@pytest.fixture(scope="session")
def embedded_weights() -> Path:
    """The default checkpoint; FASTSAM_TEST_WEIGHTS names another one."""
    given = os.environ.get("FASTSAM_TEST_WEIGHTS")
    if given:
        return Path(given)
    from fastsam.errors import WeightsError

    try:
        from fastsam.weights.resolve import resolve

        return Path(resolve(None).path)
    except (ImportError, WeightsError) as error:
        pytest.skip(f"no default weights: {error}")


@pytest.fixture(scope="session")
def photographs() -> dict[str, NDArray[np.uint8]]:
    """Real RGB photographs by name, from installed packages, and crops of them in awkward sizes."""
    import skimage.data
    from ultralytics.utils import ASSETS

    def read(name: str) -> NDArray[np.uint8]:
        with Image.open(ASSETS / name) as image:
            return np.asarray(image.convert("RGB"))

    def resized(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(rgb).resize((width, height)))

    bus, zidane = read("bus.jpg"), read("zidane.jpg")
    found: dict[str, Any] = {
        "bus": bus,
        "zidane": zidane,
        "astronaut": skimage.data.astronaut(),
        "coffee": skimage.data.coffee(),
        "rocket": skimage.data.rocket(),
        "chelsea": skimage.data.chelsea(),
        "bus, odd": np.ascontiguousarray(bus[201:934, 3:804]),
        "bus, strip": np.ascontiguousarray(bus[380:500]),
        "bus, large": resized(bus, 1201, 1799),
        "zidane, column": np.ascontiguousarray(zidane[:, 700:811]),
        "coffee, small": resized(skimage.data.coffee(), 97, 61),
    }
    for rgb in found.values():
        rgb.flags.writeable = False
    return found


@pytest.fixture(scope="session")
def converted_weights(embedded_weights: Path) -> Path:
    """The default checkpoint in ONNX, as a first use of another backend leaves it in the cache folder."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    from fastsam.everything.backends.choose import open_network

    return open_network(embedded_weights, backend="onnx").segmenter.checkpoint
