"""Fixtures of the tests of exports."""

from __future__ import annotations

import pytest

from fastsam.masks.maskset import MaskSet
from tests.export.drawn import drawn


@pytest.fixture
def masks() -> MaskSet:
    return MaskSet.from_dense(drawn(), scores=[0.9, 0.8, 0.7, 0.6, 0.5])
