"""What the package promises about itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastsam

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_public_names_are_listed_once_and_importable() -> None:
    from fastsam import errors

    assert fastsam.__all__ == sorted(set(fastsam.__all__))
    for name in fastsam.__all__:
        assert getattr(fastsam, name) is not None
    assert set(fastsam.__all__) <= set(dir(fastsam))
    assert {name for name in errors.__all__ if name.endswith("Error")} <= set(fastsam.__all__)


def test_a_type_checker_sees_every_public_name() -> None:
    stub = (ROOT / "fastsam" / "__init__.pyi").read_text()
    assert set(re.findall(r"^    (\w+) as \1,$", stub, re.MULTILINE)) == {*fastsam.__all__} - {"__version__"}


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Boxx'"):
        fastsam.Boxx  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import fastsam", ["numpy", "cv2", "torch", "ultralytics", "PIL", "gradio"]),
        ("import fastsam.cli.main", ["cv2", "torch", "ultralytics", "gradio", "open_clip"]),
        ("import fastsam.prompts", ["torch", "ultralytics", "gradio", "open_clip"]),
        (
            "import fastsam.model",
            ["torch", "ultralytics", "gradio", "open_clip", "onnxruntime", "openvino"],
        ),
    ],
)
def test_heavy_packages_wait(statement: str, heavy: list[str]) -> None:
    code = f"{statement}; import sys; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("file", "declared"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("requirements-dev.txt", PROJECT["dependency-groups"]["dev"]),
        ("requirements-docs.txt", PROJECT["dependency-groups"]["docs"]),
    ],
)
def test_requirements_equal_pyproject(file: str, declared: list[str]) -> None:
    lines = (ROOT / file).read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == declared


def test_changelog_starts_with_the_version() -> None:
    top = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert top is not None
    assert top[1] == fastsam.__version__


def test_the_citation_is_of_this_version() -> None:
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf'^version: "?{re.escape(fastsam.__version__)}"?$', cited, re.MULTILINE)


def test_every_error_is_ours_and_in_the_drawn_tree() -> None:
    from fastsam import errors

    for name in errors.__all__:
        found = getattr(errors, name)
        if not isinstance(found, type):
            continue
        assert issubclass(found, fastsam.FastSAMError)
        assert name in (errors.__doc__ or "")


def test_no_path_of_a_machine_is_committed() -> None:
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in tracked.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ""} and path.is_file():
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert not re.search(r"(?<![\w.])/(?:home|root|Users|work)/\w", text), name
