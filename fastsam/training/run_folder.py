"""A training run's folder: what is in it, how far it is, and whether it can go on.

::

    run.json               what was asked for, and whether the last epoch is there
    dataset/               copies of the images, and labels
    start.pt               the network before the first epoch
    run/weights/last.pt    after the last epoch, with the optimiser; previous.pt is the one before
    fastsam.pt             the finished checkpoint
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fastsam.errors import CheckpointError, FastSAMError, TrainingError
from fastsam.files import as_export_errors, write_bytes
from fastsam.training.loop import PREVIOUS_NAME
from fastsam.untrusted import read_json, short
from fastsam.weights.checkpoint import load_checkpoint

__all__ = ["RunFolder"]


class RunFolder:
    """A run folder.

    Attributes:
        path: the folder.
        start: the network before the first epoch.
        last: the network after the last epoch that is there, with the optimiser.
        final: the finished checkpoint.
        trained: the last epoch is done.
        epochs: how many are done.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start, self.final = path / "start.pt", path / "fastsam.pt"
        self.last = path / "run" / "weights" / "last.pt"
        self._previous = self.last.with_name(PREVIOUS_NAME)
        self._notes = path / "run.json"
        self._state: dict[str, Any] = {}
        self.epochs = 0

    @property
    def trained(self) -> bool:
        """Whether the last epoch is done."""
        return bool(self._state.get("trained"))

    def begin(self, settings: dict[str, Any]) -> None:
        """Start a run; what is left of another one is no longer in its way."""
        with as_export_errors(self.path):
            for old in (self.last, self._previous):
                old.unlink(missing_ok=True)
        self._write({"settings": settings})

    def mark_trained(self) -> None:
        """Note that the last epoch is done."""
        self._write({**self._state, "trained": True})

    def finish(self) -> None:
        """Note that the finished checkpoint is there."""
        self._write({**self._state, "trained": True, "finished": True})

    def _write(self, state: dict[str, Any]) -> None:
        self._state = state
        write_bytes(self._notes, json.dumps(state, indent=1).encode())

    def check_resumable(self, settings: dict[str, Any]) -> None:
        """Read how far the run is, and make sure that ``last`` is whole if an epoch is done.

        Raises:
            TrainingError: there is nothing to go on from, the run has finished, or it was started with other
                settings.
        """
        self._state = self._read()
        self.epochs, epochs = done, epochs = self._newest()
        if self._state.get("finished") and self.final.is_file():
            raise TrainingError(
                f"resume: expected an interrupted run, got one that has finished ({done} of {epochs} epochs)",
                advice="start without resume",
            )
        begun = self._state.get("settings")
        other = [
            f"{name} {short(begun.get(name))} instead of {short(value)}"
            for name, value in settings.items()
            if isinstance(begun, dict) and begun.get(name) != value
        ]
        if other:
            raise TrainingError(
                f"resume: the run was started with {', '.join(other)}",
                advice="resume with what it was started with, or start without resume",
            )
        if done >= epochs:
            self._state["trained"] = True

    def _read(self) -> dict[str, Any]:
        try:
            found = read_json(self._notes) if self._notes.is_file() else {}
        except FastSAMError:
            return {}
        return found if isinstance(found, dict) else {}

    def _newest(self) -> tuple[int, int]:
        """Return how many epochs of how many are done, after putting the newest whole checkpoint in place."""
        reasons = []
        for file in (self.last, self._previous):
            if not file.is_file():
                continue
            try:
                done, epochs = _progress_of(file)
            except CheckpointError as error:
                reasons.append(str(error))
                continue
            if file is self._previous:  # the run was ended while it wrote the newer one
                with as_export_errors(self.last):
                    os.replace(file, self.last)
            return done, epochs
        if self._begun():  # the run was ended before its first checkpoint was there
            return 0, 1
        found = f"nothing that is whole ({reasons[0]})" if reasons else "nothing"
        raise TrainingError(
            f"resume: expected {self.last} from an earlier run, found {found}", advice="start without resume"
        )

    def _begun(self) -> bool:
        try:
            return bool(self._state.get("settings")) and bool(load_checkpoint(self.start))
        except CheckpointError:
            return False


def _progress_of(file: Path) -> tuple[int, int]:
    """Return the epochs that a checkpoint has behind it, and how many were asked for.

    Raises:
        CheckpointError: the file is not whole, or is no checkpoint of a run. Nothing unsafe is in it after
            this, so that ultralytics may open it.
    """
    content = load_checkpoint(file)
    asked = content.get("train_args")
    epoch, epochs = content.get("epoch"), asked.get("epochs") if isinstance(asked, dict) else None
    if type(epoch) is not int or type(epochs) is not int or not content.get("optimizer"):
        raise CheckpointError("is no checkpoint of a run", subject=f"checkpoint {file}", path=file)
    return epoch + 1, epochs
