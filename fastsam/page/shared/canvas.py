"""The canvas: one gradio component; the JavaScript in ``web/`` draws it and reads the pointer."""

from __future__ import annotations

import base64
import html
import importlib.util
import json
from functools import lru_cache
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from fastsam.needed import needed
from fastsam.page.shared.modules import linked

__all__ = ["canvas_of", "example_photos"]

# Name -> package, file in it, what it shows. Photos that installed packages carry anyway.
_EXAMPLES = {
    "bus": ("ultralytics", "assets/bus.jpg", "A street with a bus and people"),
    "zidane": ("ultralytics", "assets/zidane.jpg", "Two men at the edge of a football pitch"),
    "coffee": ("skimage", "data/coffee.png", "A cup of coffee on a table"),
    "astronaut": ("skimage", "data/astronaut.png", "An astronaut in front of a flag"),
}


def example_photos() -> dict[str, Path]:
    """Return the example photos by name; the packages are looked up, not imported."""
    found = {}
    for name, (package, file, _) in _EXAMPLES.items():
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(folder) / file).is_file():
                found[name] = Path(folder) / file
    return found


@lru_cache(maxsize=2)
def _thumbnails(kind: str) -> str:
    """Return the buttons of the examples as HTML; the one video is made of the first photo."""
    buttons = []
    for name, path in list(example_photos().items())[: 1 if kind == "video" else None]:
        stream = BytesIO()
        with Image.open(path) as image:
            small = image.convert("RGB")
        small.thumbnail((300, 208))
        small.save(stream, "JPEG", quality=80)
        source = f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
        words = html.escape(_EXAMPLES[name][2])
        buttons.append(
            f'<button type="button" data-example="{name}" aria-label="Example: {words}">'
            f'<img src="{source}" alt="{words}"></button>'
        )
    return "".join(buttons)


def _web(name: str) -> str:
    return (resources.files("fastsam.page") / "web" / name).read_text(encoding="utf-8")


def canvas_of(max_bytes: int, kind: Literal["photo", "video"] = "photo") -> Any:
    """Return the canvas as a gradio component.

    Its events and its value are the messages of :mod:`fastsam.page.photo.protocol`.

    Args:
        max_bytes: the browser refuses to send larger files.
        kind: what is opened; of a video, it shows one frame.
    """
    with needed("gradio", "show the page"):
        import gradio as gr
    script = linked("main", lambda name: _web(f"{name}.js"))
    limits = json.dumps({"bytes": max_bytes, "kind": kind})
    words = {
        "@@KIND@@": kind,
        "@@ACCEPT@@": "image/*" if kind == "photo" else "video/*,image/gif,.mkv,.avi,.ts",
        "@@EXAMPLE@@": "one of these" if kind == "photo" else "this",
        "@@EXAMPLES@@": _thumbnails(kind),
    }
    page = _web("canvas.html")
    for name, value in words.items():
        page = page.replace(name, value)
    return gr.HTML(
        html_template=page,
        css_template=_web("canvas.css"),
        js_on_load=f"{script}\nmain.start({{ element, props, trigger, watch, upload }}, {limits});",
        apply_default_css=False,
        elem_id="canvas" if kind == "photo" else "video-canvas",
    )
