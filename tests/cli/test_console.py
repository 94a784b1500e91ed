"""Bars on a terminal, also for downloads that happen long after the model was made."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from fastsam.cli import console as cli_talk
from fastsam.cli.console import DownloadBar, bar, tile_bar


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    made = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(cli_talk, "talk", made)
    return made


def said(terminal: Console) -> str:
    file: Any = terminal.file
    return str(file.getvalue())


def test_a_download_opens_its_own_bar_and_closes_it(terminal: Console) -> None:
    told = DownloadBar()
    for _ in range(2):  # weights, and a text-image model
        told(0, 2000)
        assert cli_talk._shown
        told(2000, 2000)
        assert not cli_talk._shown
    assert "downloading" in said(terminal)
    assert "kB" in said(terminal)


def test_a_download_within_another_bar_is_a_line_of_it(terminal: Console) -> None:
    told = DownloadBar()
    with bar("segmenting", 3) as update:
        update(1)
        (display,) = cli_talk._shown
        told(500, 2000)
        assert [task.description for task in display.tasks] == ["segmenting", "downloading"]
        display.refresh()
        told(2000, 2000)
        assert [task.description for task in display.tasks] == ["segmenting"]
        update(3)
    assert not cli_talk._shown
    assert "0.5/2.0 kB" in said(terminal)


def test_a_single_image_has_no_bar_but_its_download_has(terminal: Console) -> None:
    told = DownloadBar()
    with bar("segmenting", 1):
        told(500, None)
        assert len(cli_talk._shown) == 1
    told.close()
    told.close()
    assert not cli_talk._shown
    assert "downloading" in said(terminal)
    assert "segmenting" not in said(terminal)


@pytest.mark.parametrize("images", [1, 2])
def test_tiles_are_a_line_of_the_bar_or_have_their_own(terminal: Console, images: int) -> None:
    with bar("segmenting", images), tile_bar() as on_tile:
        assert on_tile is not None
        for _ in range(images):
            on_tile(1, 3)
            (display,) = cli_talk._shown
            assert [task.description for task in display.tasks][-1] == "tiles"
            display.refresh()
            on_tile(3, 3)
            assert "tiles" not in [task.description for task in display.tasks]
    assert not cli_talk._shown
    assert "tiles" in said(terminal)


def test_nothing_is_drawn_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(cli_talk, "talk", Console(file=file, force_terminal=False))
    told = DownloadBar()
    with bar("segmenting", 3) as update:
        told(500, 2000)
        update(1)
    told.close()
    with tile_bar() as on_tile:
        assert on_tile is None
    assert file.getvalue().strip() == ""
