"""ES modules -> one script, for gradio, which takes the script of a component as one piece of text.

Each module becomes a function with a scope of its own; what it exports is what it returns. So the files are
ordinary modules for the editor, for ``tsc`` and for ``node --test``, and no build step is needed. Only the
plain forms of ``import`` and ``export`` are understood, others are an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["linked"]

_IMPORT = re.compile(r"^import \{ ([\w, ]+) \} from '\./(\w+)\.js';$")
_EXPORT = re.compile(r"^export (?=(?:async function|function|const|class) (\w+))")
_EMPTY = "export {};"


def linked(main: str, read: Callable[[str], str]) -> str:
    r"""Return a script that defines what a module exports, as an object of the module's name.

    Args:
        main: name of the module, without ``.js``.
        read: returns the source of a module by its name.

    Raises:
        ValueError: a module has a form that is not understood, or modules import each other in a circle.

    >>> files = {"main": "import { one } from './ones.js';\nexport const two = one + one;",
    ...          "ones": "export const one = 1;"}
    >>> print(linked("main", files.__getitem__))
    const ones = (() => {
    const one = 1;
    return { one };
    })();
    const main = (() => {
    const { one } = ones;
    const two = one + one;
    return { two };
    })();
    """
    scripts: dict[str, str] = {}
    _link(main, read, scripts, ())
    return "\n".join(scripts.values())


def _link(name: str, read: Callable[[str], str], scripts: dict[str, str], waiting: tuple[str, ...]) -> None:
    if name in scripts:
        return
    if name in waiting:
        raise ValueError(f"{name}.js: modules import each other: {' -> '.join((*waiting, name))}")
    exported: list[str] = []
    lines: list[str] = []
    for line in read(name).splitlines():
        imported = _IMPORT.match(line)
        if imported:
            _link(imported[2], read, scripts, (*waiting, name))
            lines.append(f"const {{ {imported[1]} }} = {imported[2]};")
        elif (found := _EXPORT.match(line)) is not None:
            exported.append(found[1])
            lines.append(line[found.end() :])
        elif line.startswith(("import ", "export ")) and line != _EMPTY:
            raise ValueError(
                f"{name}.js: expected import {{ ... }} from './x.js' or export of one name: {line}"
            )
        elif line != _EMPTY:
            lines.append(line)
    body = "\n".join(lines)
    scripts[name] = f"const {name} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();"
