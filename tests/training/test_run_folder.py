"""A run that is killed goes on, wherever that happens; one run at a time writes to a folder."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fastsam.errors import ExportError, TrainingError
from fastsam.files import sole_writer
from fastsam.training.run_folder import RunFolder
from fastsam.weights.checkpoint import save_checkpoint

torch = pytest.importorskip("torch")

SETTINGS = {"epochs": 3, "weights": "0"}


def checkpoint(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "train_args": {"epochs": 3}, "optimizer": {"state": {}}, "model": None}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of three epochs of which two are done."""
    found = RunFolder(tmp_path)
    found.last.parent.mkdir(parents=True)
    found.begin(SETTINGS)
    save_checkpoint(checkpoint(0), found.last.with_name("previous.pt"))
    save_checkpoint(checkpoint(1), found.last)
    return RunFolder(tmp_path)


def test_it_goes_on_from_the_last_epoch(folder: RunFolder) -> None:
    folder.check_resumable(SETTINGS)
    assert (folder.epochs, folder.trained) == (2, False)


@pytest.mark.parametrize("kept", [0.0, 0.5, None])
def test_a_torn_checkpoint_is_replaced_by_the_one_before(folder: RunFolder, kept: float | None) -> None:
    whole = folder.last.read_bytes()
    if kept is None:
        folder.last.unlink()  # between the two steps of replacing it
    else:
        folder.last.write_bytes(whole[: int(kept * len(whole))])
    folder.check_resumable(SETTINGS)
    assert torch.load(folder.last, weights_only=True)["epoch"] == 0


def test_nothing_whole_is_told(folder: RunFolder) -> None:
    for name in ("last.pt", "previous.pt"):
        folder.last.with_name(name).write_bytes(b"PK")
    with pytest.raises(TrainingError, match=r"found nothing that is whole.*start without resume"):
        folder.check_resumable(SETTINGS)


def test_a_run_that_was_ended_in_its_first_epoch_starts_again(folder: RunFolder) -> None:
    for name in ("last.pt", "previous.pt"):
        folder.last.with_name(name).write_bytes(b"PK")
    save_checkpoint({"model": None}, folder.start)
    folder.check_resumable(SETTINGS)
    assert (folder.epochs, folder.trained) == (0, False)


def test_all_epochs_without_a_result_are_trained_but_not_finished(folder: RunFolder) -> None:
    save_checkpoint(checkpoint(2), folder.last)
    folder.final.write_bytes(b"of an earlier run")
    folder.check_resumable(SETTINGS)
    assert folder.trained
    folder.finish()
    with pytest.raises(TrainingError, match=r"has finished \(3 of 3 epochs\); start without resume"):
        folder.check_resumable(SETTINGS)
    folder.final.unlink()  # it can be written again
    folder.check_resumable(SETTINGS)
    assert folder.trained


def test_a_run_goes_on_as_it_was_started(folder: RunFolder) -> None:
    with pytest.raises(TrainingError, match="started with epochs 3 instead of 4"):
        folder.check_resumable({**SETTINGS, "epochs": 4})


@pytest.mark.parametrize("notes", [b"", b"[", b"[]", b'{"settings": 3}', b"[" * 100_000, b"\xff"])
def test_damaged_notes_do_not_end_a_run(folder: RunFolder, notes: bytes) -> None:
    (folder.path / "run.json").write_bytes(notes)
    folder.check_resumable(SETTINGS)


def test_a_new_run_never_goes_on_from_an_old_one(folder: RunFolder) -> None:
    folder.begin(SETTINGS)
    with pytest.raises(TrainingError, match="found nothing; start without resume"):
        folder.check_resumable(SETTINGS)


def test_the_second_writer_is_told(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom fastsam.files import sole_writer\n"
        f"with sole_writer(Path({str(tmp_path)!r}), 'run folder'): pass"
    )
    with sole_writer(tmp_path, "run folder"):
        with pytest.raises(ExportError, match="another run is writing to it"), sole_writer(tmp_path, "f"):
            pass
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "ExportError: run folder" in other.stderr
        assert "another run is writing to it; wait until it has ended" in other.stderr
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    inside = tmp_path / "file" / "run"
    with pytest.raises(ExportError, match="a part of the path is a file"), sole_writer(inside, "f"):
        pass

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(ExportError, match="the file system is read-only"), sole_writer(tmp_path / "r", "f"):
        pass


# Real runs


def started(data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fastsam", "train", str(data), "--out", str(out), "--figures", "0"]
    command += ["--epochs", "3", "--imgsz", "64", "--batch", "2", "--workers", "0", "--device", "cpu", *more]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=settings)


def killed_at(data: Path, out: Path, *, moment: Any) -> None:
    """Start a run and end it the hard way once ``moment()`` is true."""
    run = started(data, out)
    while run.poll() is None and not moment():
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert run.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("where", ["while it is written", "after the last epoch", "at the first one"])
def test_kill_and_resume(small_dataset: Path, tmp_path: Path, where: str) -> None:
    out = tmp_path / "out"
    last, previous = out / "run/weights/last.pt", out / "run/weights/previous.pt"

    def trained() -> bool:
        notes = out / "run.json"
        return notes.is_file() and "trained" in notes.read_text()

    moments = {
        "while it is written": previous.is_file,  # last.pt is moved there first
        "after the last epoch": trained,
        "at the first one": last.is_file,
    }
    killed_at(small_dataset, out, moment=moments[where])
    assert not (out / "fastsam.pt").exists()
    if where.startswith("while"):  # the kill may have come a little late
        last.write_bytes(previous.read_bytes()[:5_000_000])
    second = started(small_dataset, out, "--resume")
    said, errors = second.communicate(timeout=300)
    assert second.returncode == 0, errors
    assert said.strip() == str(out / "fastsam.pt")
    third = started(small_dataset, out, "--resume")
    assert "has finished (3 of 3 epochs)" in third.communicate(timeout=300)[1]


@pytest.mark.slow
def test_a_second_run_in_the_folder_is_told(small_dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = started(small_dataset, out)
    while not (out / "run.json").is_file():
        time.sleep(0.01)
    second = started(small_dataset, out)
    assert "another run is writing to it" in second.communicate(timeout=300)[1]
    assert second.returncode == 2
    said, errors = first.communicate(timeout=300)
    assert first.returncode == 0, errors
    assert json.loads((out / "run.json").read_text())["finished"]
    assert said


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("options", ["size=4k", "size=60m", "size=100m,ro"])
def test_a_full_or_read_only_disk_is_told(small_dataset: Path, tmp_path: Path, options: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        run = started(small_dataset, disk / "out")
        errors = run.communicate(timeout=300)[1]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert "Traceback" not in errors
    assert ("read-only" if "ro" in options else "the disk is full") in errors
    assert run.returncode == 2
