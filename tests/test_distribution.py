"""What is published: the layout of the wheel, the source distribution, and the text for package indexes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_ASK = """
import os
from fastsam import Box, FastSAM, Points
from fastsam.cli.demo import demo_photo
import fastsam.prompts
session = FastSAM().open(demo_photo())
prompts = os.path.dirname(fastsam.prompts.__file__)
print(os.path.dirname(fastsam.__file__), prompts, os.path.islink(prompts))
print(session.select(Points((150, 600))).reason)
print(session.select("a person").reason)
"""


def python(code: str, cwd: Path, executable: str = sys.executable, **environment: str) -> str:
    done = subprocess.run(
        [executable, "-c", code], capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_prompts_of_a_users_own_are_no_matter(tmp_path: Path) -> None:
    """A module or folder called prompts is an everyday thing beside a script."""
    (tmp_path / "prompts.py").write_text("GREETING = 'hello'\n")
    code = "import prompts; from fastsam import Box, select; print(prompts.GREETING, Box(1, 2, 3, 4).xyxy)"
    assert (
        python(code, tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
        == "hello ((1.0, 2.0, 3.0, 4.0),)\n"
    )


def test_the_description_for_package_indexes_needs_no_other_file() -> None:
    made = python("import setup; print(setup.description())", ROOT)
    assert made.startswith("# fastsam")
    assert "## Licence" in made
    assert re.findall(r"\]\((?!https?:)", made) == []


def test_every_package_is_published() -> None:
    listed = set(python("import setup; print(*setup.packages())", ROOT).split())
    made = {path.parent for path in (ROOT / "fastsam").rglob("__init__.py")}
    made |= {
        ROOT / "fastsam" / path.parent.relative_to(ROOT) for path in (ROOT / "prompts").rglob("__init__.py")
    }
    found = {".".join(folder.relative_to(ROOT).parts) for folder in made}
    assert listed == found | {"fastsam._weights"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution of a copy of what git tracks, and the wheel that is built from it."""
    tracked = subprocess.run(["git", "ls-files", "-z"], capture_output=True, cwd=ROOT, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    root = tmp_path_factory.mktemp("built")
    names = [name for name in tracked.stdout.decode().split("\0") if name and (ROOT / name).exists()]
    with tarfile.open(root / "copy.tar", "w") as copy:
        for name in names:
            copy.add(ROOT / name, name)
    with tarfile.open(root / "copy.tar") as copy:
        copy.extractall(root / "copy", filter="tar")
    code = "from setuptools import build_meta as b; import sys; getattr(b, sys.argv[1])(sys.argv[2])"

    def build(what: str, source: Path) -> Path:
        command = [sys.executable, "-c", code, what, str(root)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=source, check=False)
        assert done.returncode == 0, done.stderr
        return next(root.glob({"build_sdist": "*.tar.gz", "build_wheel": "*.whl"}[what]))

    source = build("build_sdist", root / "copy")
    with tarfile.open(source) as packed:
        packed.extractall(root / "unpacked", filter="data")
    return source, build("build_wheel", next((root / "unpacked").iterdir()))


@pytest.mark.slow
def test_the_source_distribution_has_docs_examples_and_tests(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    wanted = ("docs/index.md", "docs/readme.jpg", "examples/click.py", "tests/test_docs.py", "mkdocs.yml")
    assert set(wanted) <= names
    assert {"prompts/point.py", "weights/manifest.toml", "LICENSE"} <= names


@pytest.mark.slow
def test_the_wheel_has_one_package_with_prompts_weights_and_the_page(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        description = HeaderParser().parsestr(wheel.read(metadata).decode())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"fastsam"}
    wanted = [ROOT / "prompts" / name for name in ("point.py", "text/presets/templates.txt")]
    wanted += [path for path in (ROOT / "fastsam" / "page" / "web").rglob("*") if path.is_file()]
    for path in wanted:
        inside = path.relative_to(ROOT).as_posix()
        assert (inside if inside.startswith("fastsam/") else f"fastsam/{inside}") in names
    assert "fastsam/_weights/fastsam-nano-seg.pt" in names
    assert description["Description-Content-Type"] == "text/markdown"


@pytest.mark.slow
def test_the_wheel_answers_prompts_in_an_environment_of_its_own(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    """Outside the checkout, beside a script with prompts of its own; dependencies are this environment's."""
    venv.create(tmp_path / "venv", symlinks=True)
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(built[1]) as wheel:
        wheel.extractall(site)
    # Folders that a .pth file names come behind, and their own .pth files (an editable fastsam) do not count.
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others) + "\n")
    (tmp_path / "prompts.py").write_text("")
    told = python(_ASK, tmp_path, str(tmp_path / "venv" / "bin" / "python"), PYTHONPATH="")
    places, click, text = told.splitlines()
    assert places == f"{site}/fastsam {site}/fastsam/prompts False"
    assert click
    assert "masks" in text
