"""``save=True`` and ``show=True`` of ultralytics' calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam.errors import ExportError

if TYPE_CHECKING:
    from fastsam.compat.results import Results

__all__ = ["Keeper"]


class Keeper:
    """Writes and shows results as they come; the folder is made with the first of them.

    Args:
        save: write each result's picture.
        show: show it in a window.
        keywords: ``project``, ``name``, ``exist_ok`` and ``save_dir`` say where, as in ultralytics.
    """

    def __init__(self, save: bool, show: bool, keywords: Mapping[str, Any]) -> None:
        self._save, self._show, self._keywords = bool(save), bool(show), keywords
        self._folder: Path | None = None

    def __call__(self, result: Results) -> Results:
        """Keep a result as it was asked for, and return it.

        Raises:
            ExportError: it cannot be written.
        """
        if self._save:
            folder = self._made_folder()
            name = Path(result.path).name
            target = folder / (name if Path(name).suffix else f"{name}.jpg")
            try:
                result.save(str(target))
            except OSError as error:
                raise ExportError(f"save: {target} cannot be written ({error.strerror or error})") from error
            result.save_dir = str(folder)  # type: ignore[assignment]
        if self._show:
            result.show()  # type: ignore[no-untyped-call]
        return result

    def _made_folder(self) -> Path:
        if self._folder is None:
            from ultralytics.utils.files import increment_path

            given = self._keywords.get("save_dir")
            base = Path(self._keywords.get("project") or "runs/segment")
            path = Path(given) if given else base / str(self._keywords.get("name") or "predict")
            exist_ok = bool(given) or bool(self._keywords.get("exist_ok"))
            try:
                self._folder = Path(increment_path(path, exist_ok=exist_ok, mkdir=True))
            except OSError as error:
                raise ExportError(f"save: {path} cannot be made ({error.strerror or error})") from error
        return self._folder
