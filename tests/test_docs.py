"""The documentation is true: its Python runs, its reference is the commands', its links lead somewhere.

``FASTSAM_WRITE_DOCS=1 python -m pytest tests/test_docs.py`` writes docs/cli.md anew.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.main import get_command

from fastsam.cli import main as cli
from fastsam.cli.demo import demo_photo
from tests.video.clips import panned_clip

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
REFERENCE = ROOT / "docs" / "cli.md"


def python_blocks() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        found += [(f"{page.name} {number}", block) for number, block in enumerate(blocks)]
    return found


@pytest.mark.parametrize(("name", "code"), python_blocks())
def test_python_in_the_docs_runs(
    name: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(demo_photo(), tmp_path / "photo.jpg")
    if "street.mp4" in code:
        panned_clip(tmp_path / "street.mp4", frames=6, size_hw=(240, 320))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, name, "exec"), {})


def cli_reference() -> str:
    """Return the reference from the commands themselves, so that it does not hang on the layout of help."""
    parts = ["# The `fastsam` command", "", "The same as `fastsam COMMAND --help` says."]
    for name, command in sorted(get_command(cli.app).commands.items()):  # type: ignore[attr-defined]
        parts += [
            "",
            f"## fastsam {name}",
            "",
            command.help or "",
            "",
            "| option | default | what it does |",
            "|---|---|---|",
        ]
        for parameter in command.params:
            flags = ", ".join([*parameter.opts, *parameter.secondary_opts])
            default = (
                "" if parameter.default in (None, ()) or parameter.required else f"`{parameter.default}`"
            )
            parts.append(f"| `{flags}` | {default} | {(parameter.help or '').strip()} |")
    return "\n".join(parts) + "\n"


def test_cli_reference_is_what_the_commands_take() -> None:
    if os.environ.get("FASTSAM_WRITE_DOCS"):
        REFERENCE.write_text(cli_reference(), encoding="utf-8")
    assert REFERENCE.read_text(encoding="utf-8") == cli_reference()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_local_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_the_picture_of_video_is_made_by_its_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(ROOT / "examples" / "video.py"))["main"](str(tmp_path / "video.jpg"))
    told = capsys.readouterr().out.splitlines()
    assert told[1].endswith("sees ['2 second man'], lost [1]"), "one has left the picture"
    assert told[3].endswith("sees ['1 first man', '2 second man'], lost []"), "and is back, as number 1"
    with Image.open(tmp_path / "video.jpg") as made, Image.open(ROOT / "docs" / "video.jpg") as kept:
        assert made.size == kept.size == (1600, 300)


def test_the_picture_of_levels_is_made_by_its_example(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "examples" / "levels.py"))["main"](str(tmp_path / "levels.jpg"))
    with Image.open(tmp_path / "levels.jpg") as made, Image.open(ROOT / "docs" / "levels.jpg") as kept:
        assert made.size == kept.size == (1600, 400)


def test_the_picture_of_references_is_made_by_its_example(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "examples" / "references.py"))["main"](str(tmp_path / "references.jpg"))
    with Image.open(tmp_path / "references.jpg") as made:
        assert made.size == (1377, 420)
    with Image.open(ROOT / "docs" / "references.jpg") as kept:
        assert kept.size == (1377, 420)


def test_the_readme_picture_is_made_by_its_example(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "examples" / "readme_picture.py"))["main"](str(tmp_path / "readme.jpg"))
    with Image.open(tmp_path / "readme.jpg") as made, Image.open(ROOT / "docs" / "readme.jpg") as kept:
        assert made.size == kept.size == (1620, 540)


def test_the_picture_of_tiles_is_made_by_its_example(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "examples" / "tiling.py"))["main"](str(tmp_path / "tiling.jpg"))
    with Image.open(tmp_path / "tiling.jpg") as made, Image.open(ROOT / "docs" / "tiling.jpg") as kept:
        assert made.size == kept.size == (1400, 610)
