"""``run.json``: what the run in a folder is of, so that another one is not mixed into it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastsam.config import OutputConfig, RenderConfig
from fastsam.errors import ConfigError, ExportError, check_one_of, reason_of
from fastsam.files import as_export_errors, file_state, write_bytes
from fastsam.untrusted import MALFORMED
from fastsam.video.write.formats import FORMATS
from fastsam.video.write.writers import SUFFIXES

__all__ = ["check_same", "check_source", "check_unused", "clear", "describe", "read_run", "write_run"]

_RUN = "run.json"
_VERSION = 1
_FPS = 25.0  # of what has neither a frame rate nor times


def describe(
    formats: list[str], source: str, fps: float | None, settings: Mapping[str, Any] | None,
    config: OutputConfig, render: RenderConfig,
) -> dict[str, Any]:  # fmt: skip
    """Return the content of run.json, checked."""
    for name in formats:
        check_one_of(name, FORMATS, "format", ExportError)
    check_one_of(config.suffix, SUFFIXES, "video suffix", ExportError)
    if fps is not None and not 0 < fps <= 1000:
        raise ConfigError(f"fps: expected a number above 0 and up to 1000, or None, got {fps!r}")
    path = Path(source) if source else None
    identity: dict[str, Any] = {"name": source}
    if path is not None and path.is_file():
        identity = {"path": os.path.abspath(path), "state": file_state(path)}
    run = {
        "version": _VERSION,
        "name": (path.stem if path is not None else "") or "video",
        "source": identity,
        "fps": float(fps or _FPS),
        "formats": sorted({*formats, "jsonl"}, key=list(FORMATS).index),
        "output": asdict(config),
        "render": asdict(render),
        "settings": dict(settings or {}),
        "finished": False,
    }
    try:
        return dict(json.loads(json.dumps(run, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"settings: expected JSON values, got {str(settings)[:200]} ({error})") from error


def write_run(out: Path, run: dict[str, Any]) -> None:
    """Write run.json."""
    text = json.dumps(run, indent=2, ensure_ascii=False)
    try:
        content = text.encode()
    except UnicodeEncodeError:  # a file name that is no UTF-8
        content = json.dumps(run, indent=2).encode()
    write_bytes(out / _RUN, content + b"\n")


def read_run(out: Path) -> dict[str, Any] | None:
    """Return what an earlier run was; None where there was none."""
    path = out / _RUN
    if not path.exists():
        return None
    try:
        run = json.loads(path.read_bytes())
        if run["version"] == _VERSION and {"formats", "output", "fps", "finished", "name"} <= run.keys():
            return dict(run)
        found = f"version {run['version']}"
    except (OSError, *MALFORMED) as error:
        found = f"something else ({reason_of(error)})"
    raise ExportError(
        f"{path}: expected a video run of version {_VERSION}, got {found}; choose another folder"
    )


def _files_of_runs(out: Path) -> list[Path]:
    """Return everything that runs may have left, but run.json."""
    videos = [f"overlay{suffix}" for suffix in SUFFIXES]
    names = ["segments", *videos, *(row.file.rstrip("/") for row in FORMATS.values())]
    return [out / name for name in dict.fromkeys(names)]


def check_source(out: Path, run: dict[str, Any]) -> None:
    """Raise ExportError where the results would overwrite the source."""
    source = run["source"].get("path")
    if source is not None and Path(source).resolve() in [path.resolve() for path in _files_of_runs(out)]:
        raise ExportError(
            f"output folder {str(out)!r}: the results would overwrite the source {source!r}; "
            "choose another folder"
        )


def check_unused(out: Path) -> None:
    """Raise ExportError where there are files of the names that the run would write."""
    taken = [str(path) for path in _files_of_runs(out) if path.exists()]
    if taken:
        raise ExportError(
            f"output folder {str(out)!r}: holds {', '.join(taken[:3])} and no {_RUN} that says of what; "
            "choose another folder"
        )


def check_same(out: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise ExportError where an earlier run was another one, and say in what."""
    old, new = ({**_flat(run)} for run in (before, now))
    changed = [key for key in {**old, **new} if key != "finished" and old.get(key) != new.get(key)]
    if changed:
        told = "; ".join(_told(key, old.get(key), new.get(key)) for key in changed[:4])
        more = f"; and {len(changed) - 4} more" if len(changed) > 4 else ""
        raise ExportError(
            f"output folder {str(out)!r} holds another run ({told}{more}); choose another folder, "
            "or replace that run's results: --no-resume (fastsam video), --overwrite (fastsam camera), "
            "overwrite=True (open_sinks)"
        )


def _told(key: str, there: Any, now: Any) -> str:
    """Return a difference in plain words: the option's own name, and what it was and is."""
    names = {"source.name": "source", "source.state": "source file"}
    name = names.get(key, key.rpartition(".")[2])
    if key == "settings.prompts":
        there, now = (", ".join(f"{one[1]} at frame {one[0]}" for one in side or ()) for side in (there, now))
    values = ["none" if value in (None, "", []) else f"{value!r:.200}" for value in (there, now)]
    return f"{name} was {values[0]} there, is {values[1]} now"


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a mapping of mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def clear(out: Path) -> None:
    """Remove an earlier run; what says that it was one goes last."""
    with as_export_errors(out):
        for path in [*_files_of_runs(out), out / _RUN]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
