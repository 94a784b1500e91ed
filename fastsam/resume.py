"""A log of JSON lines that lets a long run go on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastsam.errors import ExportError, translated
from fastsam.files import as_export_errors, write_bytes

__all__ = ["ResumeLog"]


class ResumeLog:
    """What a run has done, one JSON object a line; a line is there before :meth:`append` returns.

    A line that a crash has torn is skipped, and never continued by the next one.

    Args:
        path: the file; its folder is made with the first line.
        identity: of what the run does, such as a hash of its settings. A log of another identity is started
            anew. Without one, the log takes the lines of any run.

    Raises:
        ExportError: the file cannot be read, or cannot be started anew.
    """

    def __init__(self, path: Path, identity: str = "") -> None:
        self.path = path
        self._whole = True  # the file ends with a line break
        self._lines = self._read()
        if identity:
            kept = self._lines[1:] if self._lines[:1] == [{"identity": identity}] else []
            self._start({"identity": identity}, kept)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield what was there when the log was opened."""
        return iter(self._lines)

    def append(self, entry: dict[str, Any]) -> None:
        """Add a line.

        Raises:
            ExportError: it cannot be written.
        """
        with as_export_errors(self.path, what="log"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(("" if self._whole else "\n") + json.dumps(entry) + "\n")
        self._whole = True

    def _read(self) -> list[dict[str, Any]]:
        """Return the lines that are whole."""
        unreadable = translated(
            OSError,
            to=ExportError,
            problem="cannot be read ({reason})",
            subject=f"log {self.path}",
            advice="remove it to start over",
            path=self.path,
        )
        with unreadable:
            if not self.path.exists():
                return []
            text = self.path.read_text(encoding="utf-8", errors="replace")
        self._whole = not text or text.endswith("\n")
        entries = []
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def _start(self, header: dict[str, Any], kept: list[dict[str, Any]]) -> None:
        """Write the file anew: whole lines of this identity only."""
        self._lines, self._whole = kept, True
        write_bytes(self.path, "".join(f"{json.dumps(entry)}\n" for entry in (header, *kept)).encode())
