"""The log that lets a run go on: what a crash leaves, and whose lines count."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastsam.errors import ExportError
from fastsam.resume import ResumeLog


def lines(path: Path, identity: str = "") -> list[dict[str, object]]:
    return list(ResumeLog(path, identity))


def test_what_was_added_is_there_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log"
    log = ResumeLog(path)
    log.append({"name": "a"})
    log.append({"name": "b", "files": ["ü"]})
    assert list(log) == []
    assert lines(path) == [{"name": "a"}, {"name": "b", "files": ["ü"]}]


def test_nothing_is_written_before_the_first_line(tmp_path: Path) -> None:
    ResumeLog(tmp_path / "folder" / "log")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("torn", ['{"name": "c', "\ufffd{", '["c"]\n', '\n\n{"name": }\n'])
def test_a_torn_line_is_skipped_and_never_continued(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "log"
    path.write_text('{"name": "a"}\n' + torn, encoding="utf-8")
    ResumeLog(path).append({"name": "d"})
    assert lines(path) == [{"name": "a"}, {"name": "d"}]


def test_a_log_of_another_identity_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    ResumeLog(path, "first").append({"name": "a"})
    assert lines(path, "first") == [{"name": "a"}]
    assert lines(path, "second") == []
    assert lines(path, "first") == []


def test_a_line_that_looks_like_an_identity_is_only_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = ResumeLog(path, "first")
    log.append({"identity": "second"})
    assert lines(path, "first") == [{"identity": "second"}]


def test_a_folder_of_that_name_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be read") as caught:
        ResumeLog(tmp_path)
    assert caught.value.path == str(tmp_path)
