"""Fixtures of the tests of images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.images.pictures import BUS


@pytest.fixture(scope="module")
def bus() -> NDArray[np.uint8]:
    return np.array(Image.open(BUS).convert("RGB"))
