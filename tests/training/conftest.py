"""A small data set of real photographs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from fastsam.masks.rle import encode_rle


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small photographs, one of them held out; their masks are what is brighter than the middle."""
    root = tmp_path_factory.mktemp("data") / "four photos"
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, name in enumerate(("astronaut", "chelsea", "coffee", "rocket")):
        photo = Image.fromarray(getattr(skimage.data, name)()).resize((96, 72))
        photo.save(root / "images" / f"{name}.png")
        grey = cv2.GaussianBlur(np.asarray(photo.convert("L")), (9, 9), 3)
        bright = grey > np.quantile(grey, 0.6)
        count, labels = cv2.connectedComponents(bright.astype(np.uint8))
        images.append({"id": number, "file_name": f"{name}.png", "height": 72, "width": 96})
        for k in range(1, count):
            mask = labels == k
            if mask.sum() > 60:
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": number,
                        "category_id": 1 + len(annotations) % 2,
                        "segmentation": encode_rle(mask),
                    }
                )
    assert len(annotations) >= 6
    categories = [{"id": 1, "name": "bright"}, {"id": 2, "name": "other"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    (root / "heldout.txt").write_text("coffee.png\n")
    return root
