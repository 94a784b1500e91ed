"""The one way to import a heavy package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fastsam.errors import FastSAMError, MissingPackageError
from fastsam.needed import require


def test_what_is_there_is_returned() -> None:
    assert require("json", "read") is sys.modules["json"]
    assert require("xml.dom", "read").__name__ == "xml.dom"


def test_what_is_missing_says_what_to_install_and_why() -> None:
    with pytest.raises(MissingPackageError, match="pip install no_such_package_x") as caught:
        require("no_such_package_x.part", "fly")
    assert "needed to fly" in str(caught.value)
    assert isinstance(caught.value, (FastSAMError, ImportError))


@pytest.mark.parametrize(
    ("module", "name"), [("cv2", "opencv-python"), ("PIL.Image", "pillow"), ("open_clip", "open_clip_torch")]
)
def test_the_name_to_install_may_differ(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    with pytest.raises(MissingPackageError, match=f"pip install {name}"):
        require(module, "work")


def test_a_broken_package_shows_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_installed.py").write_text("import no_such_dependency_x\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency_x") as caught:
        require("half_installed", "work")
    assert not isinstance(caught.value, MissingPackageError)
