"""The one way to import a heavy package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from fastsam.errors import FastSAMError, MissingPackageError
from fastsam.needed import needed


def test_what_is_there_is_imported() -> None:
    with needed("xml", "read"):
        from xml import dom
    assert dom is sys.modules["xml.dom"]


def test_what_is_missing_says_what_to_install_and_why() -> None:
    missing = pytest.raises(MissingPackageError, match="pip install no_such_package_x")
    with missing as caught, needed("no_such_package_x", "fly"):
        import no_such_package_x.part  # noqa: F401
    assert "needed to fly" in caught.value.problem
    assert isinstance(caught.value, (FastSAMError, ImportError))


@pytest.mark.parametrize(
    ("module", "name"), [("cv2", "opencv-python"), ("PIL.Image", "pillow"), ("open_clip", "open_clip_torch")]
)
def test_the_name_to_install_may_differ(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = module.partition(".")[0]
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, root, None)
    with pytest.raises(MissingPackageError, match=f"pip install {name}"), needed(root, "work"):
        importlib.import_module(module)


def test_a_broken_package_shows_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_installed.py").write_text("import no_such_dependency_x\n")
    monkeypatch.syspath_prepend(tmp_path)
    broken = pytest.raises(ModuleNotFoundError, match="no_such_dependency_x")
    with broken as caught, needed("half_installed", "work"):
        import half_installed  # noqa: F401
    assert not isinstance(caught.value, MissingPackageError)
