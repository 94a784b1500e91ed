"""COCO datasets of one image -> the forms of CVAT and Label Studio."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

__all__ = ["cvat_footer", "cvat_header", "cvat_image", "label_config", "label_studio_task"]

_NAMESPACE = uuid.UUID("5f2b0d0e-7d5c-4b8e-9a39-6a1b7f0f9c55")
_FROM, _TO = "label", "image"


def cvat_header(names: Sequence[str]) -> bytes:
    """Return the beginning of the file: its version and the labels."""
    labels = "".join(
        f"<label><name>{escape(name)}</name><type>polygon</type><attributes></attributes></label>"
        for name in names
    )
    task = f"<task><name>fastsam</name><labels>{labels}</labels></task>"
    head = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta>{task}</meta>\n'
    return head.encode(errors="xmlcharrefreplace")


def cvat_image(part: dict[str, Any], number: int) -> bytes:
    """Return the element of one image.

    Args:
        part: its COCO dataset, with polygons.
        number: its id.
    """
    image = part["images"][0]
    names = {category["id"]: category["name"] for category in part["categories"]}
    name = quoteattr(_readable(image["file_name"]))
    lines = [f'<image id="{number}" name={name} width="{image["width"]}" height="{image["height"]}">']
    for annotation in part["annotations"]:
        label = quoteattr(_readable(names[annotation["category_id"]]))
        rings = annotation["segmentation"]
        group = f' group_id="{annotation["id"]}"' if len(rings) > 1 else ""
        for ring in rings:
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in _pairs(ring))
            lines.append(
                f'<polygon label={label} source="auto" occluded="0" points="{points}" z_order="0"{group}>'
                "</polygon>"
            )
    return ("\n".join([*lines, "</image>"]) + "\n").encode()


def cvat_footer() -> bytes:
    """Return the end of the file."""
    return b"</annotations>\n"


def label_config(names: Sequence[str]) -> bytes:
    """Return the labelling interface of a Label Studio project for polygons."""
    labels = "".join(f"<Label value={quoteattr(_readable(name))}/>" for name in names)
    return (
        f'<View><Image name="{_TO}" value="$image" zoom="true"/>'
        f'<PolygonLabels name="{_FROM}" toName="{_TO}">{labels}</PolygonLabels></View>\n'
    ).encode()


def label_studio_task(part: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a task of Label Studio whose masks are predictions, to be accepted or corrected.

    Points are per cent of the image. The islands of a mask have the same ``meta.text``.

    Args:
        part: a COCO dataset of one image, with polygons.
        number: of the task.
    """
    image = part["images"][0]
    names = {category["id"]: category["name"] for category in part["categories"]}
    width, height = image["width"], image["height"]
    result = []
    for annotation in part["annotations"]:
        for island, ring in enumerate(annotation["segmentation"]):
            points = [[100 * x / width, 100 * y / height] for x, y in _pairs(ring)]
            label = names[annotation["category_id"]]
            key = f"{image['file_name']}|{annotation['id']}|{island}"
            result.append(
                {
                    "id": uuid.uuid5(_NAMESPACE, key.encode(errors="backslashreplace").decode()).hex[:10],
                    "type": "polygonlabels",
                    "from_name": _FROM,
                    "to_name": _TO,
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "score": annotation["score"],
                    "meta": {"text": [f"mask {annotation['id']}"]},
                    "value": {"points": points, "closed": True, "polygonlabels": [label]},
                }
            )
    scores = [annotation["score"] for annotation in part["annotations"]]
    found = {
        "model_version": "fastsam",
        "score": sum(scores) / len(scores) if scores else 0.0,
        "result": result,
    }
    return {
        "id": number + 1,
        "data": {"image": f"/data/local-files/?d={image['file_name']}"},
        "predictions": [found],
    }


def _pairs(ring: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(ring[::2], ring[1::2], strict=True))


def _readable(text: str) -> str:
    """Return a text that is UTF-8 throughout."""
    return text.encode(errors="backslashreplace").decode()
