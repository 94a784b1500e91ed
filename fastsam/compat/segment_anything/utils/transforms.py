"""SAM's ``ResizeLongestSide``: into the frame that ``predict_torch`` takes, longer side 1024."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import InputError

__all__ = ["ResizeLongestSide"]


class ResizeLongestSide:
    """Scales images, points and boxes so that the longer side of the image is ``target_length``.

    >>> ResizeLongestSide(1024).apply_boxes(np.array([[0, 0, 320, 240]]), (480, 640)).tolist()
    [[0.0, 0.0, 512.0, 384.0]]
    """

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """Return the (height, width) that an image gets."""
        scale = long_side_length / max(oldh, oldw)
        return int(oldh * scale + 0.5), int(oldw * scale + 0.5)

    def apply_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an (H, W, C) uint8 image, scaled."""
        height, width = self.get_preprocess_shape(image.shape[0], image.shape[1], self.target_length)
        return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

    def apply_image_torch(self, image: Any) -> Any:
        """Return a (B, C, H, W) float tensor, scaled."""
        from torch.nn.functional import interpolate

        size = self.get_preprocess_shape(image.shape[-2], image.shape[-1], self.target_length)
        return interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)

    def _factors(self, original_size: Sequence[int]) -> tuple[float, float]:
        """Return by how much x and y grow."""
        old_h, old_w = (int(side) for side in original_size)
        if min(old_h, old_w) < 1:
            raise InputError(f"original_size: expected (height, width) above 0, got {tuple(original_size)}")
        new_h, new_w = self.get_preprocess_shape(old_h, old_w, self.target_length)
        return new_w / old_w, new_h / old_h

    def apply_coords(self, coords: NDArray[Any], original_size: Sequence[int]) -> NDArray[np.float64]:
        """Return (..., 2) points, scaled."""
        scaled: NDArray[np.float64] = np.asarray(coords, np.float64) * np.array(self._factors(original_size))
        return scaled

    def apply_boxes(self, boxes: NDArray[Any], original_size: Sequence[int]) -> NDArray[np.float64]:
        """Return (B, 4) boxes, scaled."""
        return self.apply_coords(np.asarray(boxes).reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def apply_coords_torch(self, coords: Any, original_size: Sequence[int]) -> Any:
        """Return a (..., 2) tensor of points, scaled."""
        import torch

        factors = torch.tensor(self._factors(original_size), dtype=torch.float, device=coords.device)
        return coords.to(torch.float) * factors

    def apply_boxes_torch(self, boxes: Any, original_size: Sequence[int]) -> Any:
        """Return a (B, 4) tensor of boxes, scaled."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def undone(self, coords: NDArray[Any], original_size: Sequence[int]) -> NDArray[np.float64]:
        """Return scaled (..., 2) points in pixels of the original image."""
        pixels: NDArray[np.float64] = np.asarray(coords, np.float64) / np.array(self._factors(original_size))
        return pixels
