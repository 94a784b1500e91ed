"""The documentation is true: its Python runs, its reference is the commands', its links lead somewhere.

``FASTSAM_WRITE_DOCS=1 python -m pytest tests/test_docs.py -k reference`` writes docs/cli.md anew.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image
from typer.main import get_command

from fastsam.cli import main as cli
from fastsam.cli.demo import demo_photo
from tests.video.clips import panned_clip

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *(ROOT / "weights").glob("*.md")]
REFERENCE = ROOT / "docs" / "cli.md"
FIRST = [
    "```sh",
    "fastsam --help                  # all commands; fastsam COMMAND --help: its options",
    "fastsam demo                    # segments a photo that ships with the installation",
    "fastsam segment photo.jpg       # everything in your photo -> output/photo.png",
    "```",
]
PICTURES = ROOT / "docs" / "pictures"
pytestmark = pytest.mark.usefixtures("seen_once")


def python_blocks(pages: list[Path]) -> list[Any]:
    found = []
    for page in pages:
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        found += [pytest.param(block, id=f"{page.name}-{n}") for n, block in enumerate(blocks)]
    return found


@pytest.fixture
def run_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Run Python in an empty folder without a screen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Image.Image, "show", lambda *_, **__: None)

    def run(code: str) -> None:
        if "street.mp4" in code:
            panned_clip(tmp_path / "street.mp4", frames=6, size_hw=(240, 320))
        exec(compile(code, "block", "exec"), {})

    return run


@pytest.mark.parametrize("code", python_blocks(PAGES))
def test_python_in_the_docs_runs(code: str, tmp_path: Path, run_block: Callable[[str], None]) -> None:
    for name in ("photo.jpg", "a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(demo_photo(), tmp_path / name)
    run_block(code)


@pytest.mark.parametrize("code", python_blocks([ROOT / "README.md"]))
def test_python_in_the_readme_runs_on_a_small_wide_photo(
    code: str, tmp_path: Path, run_block: Callable[[str], None]
) -> None:
    Image.fromarray(skimage.data.coffee()[:300]).save(tmp_path / "photo.jpg")  # 600 x 300, a cup on a table
    run_block(code)


def cli_reference() -> str:
    """Return the reference from the commands themselves, so that it does not hang on the layout of help."""
    parts = ["# The `fastsam` command", "", *FIRST, "", "The same as `fastsam COMMAND --help` says."]
    for name, command in get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        parts += ["", f"## fastsam {name}", "", command.help or ""]
        panels: dict[str, list[Any]] = {}
        for parameter in command.params:
            usual = "Options" if parameter.opts[0].startswith("-") else "Arguments"
            panels.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(parameter)
        for panel, parameters in panels.items():
            parts += ["", f"| {panel.lower()} | default | what it does |", "|---|---|---|"]
            parts += [
                f"| `{flags(one)}` | {default(one)} | {(one.help or '').strip()} |" for one in parameters
            ]
    return "\n".join(parts) + "\n"


def flags(parameter: Any) -> str:
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    return "" if parameter.default in (None, ()) or parameter.required else f"`{parameter.default}`"


def test_cli_reference_is_what_the_commands_take() -> None:
    if os.environ.get("FASTSAM_WRITE_DOCS"):
        REFERENCE.write_text(cli_reference(), encoding="utf-8")
    assert REFERENCE.read_text(encoding="utf-8") == cli_reference()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_local_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(PICTURES.glob("*.py")), ids=lambda script: script.stem)
def test_a_picture_of_the_docs_is_what_its_script_makes(script: Path, tmp_path: Path) -> None:
    name = f"{script.stem}.jpg"
    runpy.run_path(str(script))["main"](str(tmp_path / name))
    with Image.open(tmp_path / name) as made, Image.open(ROOT / "docs" / name) as kept:
        assert made.size == kept.size
        now, then = (np.asarray(picture.convert("RGB"), float) for picture in (made, kept))
    # Colours of a few masks may change between versions of torch; another picture differs by far more.
    assert np.abs(now - then).mean() < 6, "make pictures writes it anew"


@pytest.mark.slow
def test_the_picture_of_video_shows_who_is_lost_and_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(PICTURES / "video.py"))["main"](str(tmp_path / "video.jpg"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("sees ['2 second man'], lost [1]"), "one has left the picture"
    assert lines[3].endswith("sees ['1 first man', '2 second man'], lost []"), "and is back, as number 1"
