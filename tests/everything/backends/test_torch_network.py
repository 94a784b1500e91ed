"""Where the network runs. What it finds is in test_parity.py."""

from __future__ import annotations

import pytest

from fastsam.errors import ConfigError
from fastsam.everything.backends.torch_network import pick_device

torch = pytest.importorskip("torch")


def test_auto_is_a_device_of_this_machine() -> None:
    assert torch.zeros(1, device=pick_device()).sum() == 0
    assert pick_device("cpu") == "cpu"


@pytest.mark.parametrize("device", ["banana", "", "cpu:x", "99", "cuda:99"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(
        ConfigError, match="device: expected auto, cpu, or a device that this machine has"
    ) as caught:
        pick_device(device)
    assert repr(device) in str(caught.value)
    assert "\n" not in str(caught.value)
