"""The page's JavaScript: its unit tests, its types, and how its modules become one script."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import resources
from typing import get_type_hints

import pytest

from fastsam.page.photo import protocol
from fastsam.page.shared.modules import linked
from tests.page.server import ROOT

WEB = resources.files("fastsam.page") / "web"


def run(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed: the JavaScript is not checked here")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_unit_tests_pass_under_node() -> None:
    files = sorted(str(path) for path in (ROOT / "tests" / "page" / "web").glob("*.test.js"))
    assert files
    run(["node", "--test", *files])


def test_types_are_right() -> None:
    compiler = ROOT / "node_modules" / ".bin" / "tsc"
    if not compiler.exists():
        pytest.skip("typescript is not installed: npm ci installs it")
    run([str(compiler)])


def test_the_linked_script_is_javascript() -> None:
    script = linked("main", lambda name: (WEB / f"{name}.js").read_text())
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    if shutil.which("node") is None:
        pytest.skip("node is not installed: the JavaScript is not checked here")
    command = ["node", "--check", "-"]
    subprocess.run(command, input=f"async function f() {{{script}}}", text=True, check=True, cwd=ROOT)


@pytest.mark.parametrize(
    "line", ["export default 1;", "import * as x from './b.js';", "export { a };", "import './b.js';"]
)
def test_forms_that_are_not_understood_are_errors(line: str) -> None:
    with pytest.raises(ValueError, match=r"a\.js: expected import"):
        linked("a", {"a": line}.__getitem__)


def test_modules_in_a_circle_are_an_error() -> None:
    files = {"a": "import { b } from './b.js';", "b": "import { a } from './a.js';"}
    with pytest.raises(ValueError, match="a -> b -> a"):
        linked("a", files.__getitem__)


def test_a_module_that_two_others_use_is_there_once() -> None:
    files = {
        "a": "import { b } from './b.js';\nimport { c } from './c.js';",
        "b": "import { c } from './c.js';\nexport const b = c;",
        "c": "export const c = 1;",
    }
    script = linked("a", files.__getitem__)
    assert script.count("const c = (() => {") == 1
    assert script.index("const c =") < script.index("const b =") < script.index("const a =")


@pytest.mark.parametrize(
    ("record", "typedef"),
    [
        (protocol.MaskRecord, "Mask"),
        (protocol.Scene, "SceneRecord"),
        (protocol.AnswerRecord, "AnswerRecord"),
        (protocol.ObjectRecord, "KeptObject"),
        (protocol.MarkRecord, "Mark"),
        (protocol.RenderRecord, "Render"),
        (protocol.Hover, "Hover"),
        (protocol.Way, "Way"),
    ],
)
def test_both_sides_know_the_same_fields(record: type, typedef: str) -> None:
    text = (WEB / "types.js").read_text()
    block = text.split(f"@typedef {{object}} {typedef}\n")[1].split("@typedef")[0]
    named = re.findall(r"@property \{.+\} \[?(\w+)\]?(.*)", block)
    assert {name for name, rest in named if "made by the browser" not in rest} == set(get_type_hints(record))
