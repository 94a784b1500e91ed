"""How long stages take: means over all frames, percentiles over those that have them."""

from __future__ import annotations

import json

import pytest

from fastsam.video.report import STAGES, StageTimes


def test_nothing_yet() -> None:
    summary = StageTimes().summary()
    assert summary == {"frames": 0, "passes": 0, "fps": 0.0, "mean_ms": 0.0, "stages": {}}
    StageTimes().add({"draw": 1.0})  # to no frame


def test_means_percentiles_and_passes() -> None:
    times = StageTimes()
    times.note({"network": 900.0, "read": 5.0}, 1000.0)  # warms up: left out
    for network in (10.0, None, 30.0, None):
        times.note({"read": 1.0} | ({} if network is None else {"network": network}), 20.0)
    summary = times.summary()
    assert (summary["frames"], summary["passes"], summary["fps"], summary["mean_ms"]) == (5, 3, 50.0, 20.0)
    assert summary["stages"]["network"] == {"mean_ms": 10.0, "p50_ms": 20.0, "p95_ms": pytest.approx(29.0)}
    assert summary["stages"]["read"]["mean_ms"] == 1.0
    json.dumps(summary)


def test_the_only_frame_counts() -> None:
    times = StageTimes()
    times.note({"network": 40.0}, 50.0)
    assert times.summary()["fps"] == 20.0


def test_stages_that_come_after_the_frame() -> None:
    times = StageTimes()
    times.note({"network": 40.0}, 50.0)
    times.add({"draw": 10.0, "write": 40.0})
    summary = times.summary()
    assert summary["mean_ms"] == 100.0
    assert summary["stages"]["draw"]["mean_ms"] == 10.0


def test_stages_come_in_the_order_of_the_work() -> None:
    times = StageTimes()
    times.note({"own": 1.0, "write": 1.0, "read": 1.0, "track": 1.0}, 4.0)
    assert list(times.summary()["stages"]) == ["read", "track", "write", "own"]
    assert set(STAGES) >= {"read", "network", "track"}


def test_the_times_of_a_caller_are_copied() -> None:
    times, mine = StageTimes(), {"read": 1.0}
    times.note(mine, 1.0)
    times.add({"draw": 1.0})
    assert mine == {"read": 1.0}


def test_an_hour_of_frames_is_bounded() -> None:
    times = StageTimes()
    for index in range(5000):
        times.note({"network": 1.0 if index < 3000 else 2.0}, 10.0)
    assert len(times._rows) == 2000
    summary = times.summary()
    assert summary["frames"] == 5000
    assert summary["stages"]["network"]["mean_ms"] == 2.0, "of the last frames"
