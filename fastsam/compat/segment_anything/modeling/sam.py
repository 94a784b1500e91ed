"""SAM's ``Sam``: what the registry returns, and predictors and generators take."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from fastsam import FastSAM
from fastsam.compat.arguments import core_of, device_name
from fastsam.errors import ConfigError
from fastsam.needed import needed

__all__ = ["Sam"]


class Sam:
    """A segmenter in the shape of SAM's model; attributes may be set on it.

    Attributes:
        core: the :class:`fastsam.FastSAM` that answers.
        image_format: channel order that predictors expect of arrays.
        mask_threshold: where logits are cut.
        image_encoder: ``img_size``, the longer side that ``ResizeLongestSide`` scales to.

    Args:
        core: what answers; the embedded weights by default.
    """

    def __init__(self, core: FastSAM | None = None) -> None:
        self.core = FastSAM() if core is None else core
        self._checkpoint = getattr(self.core.segmenter, "checkpoint", None)
        self.image_format = "RGB"
        self.mask_threshold = 0.0
        self.image_encoder = SimpleNamespace(img_size=1024)
        self.training = False

    @property
    def device(self) -> Any:
        """Where the network runs, as a ``torch.device``."""
        with needed("torch", "tell the device"):
            import torch
        return torch.device(str(getattr(self.core.segmenter, "device", "cpu")))

    def to(self, device: Any = None, dtype: Any = None, **_: Any) -> Sam:
        """Move to a device and return itself; a dtype changes nothing.

        Raises:
            ConfigError: this machine lacks the device.
        """
        with needed("torch", "tell a device"):
            import torch
        if device is None or isinstance(device, torch.dtype):
            return self
        wanted = device_name(getattr(device, "device", device))  # a tensor names its own
        if str(torch.device(wanted)) != str(self.device) and self._checkpoint is not None:
            self.core = core_of(self._checkpoint, device=wanted)
        return self

    def cpu(self) -> Sam:
        """Move to the CPU."""
        return self.to("cpu")

    def cuda(self, device: int | str | None = None) -> Sam:
        """Move to a GPU."""
        return self.to("cuda" if device is None else device)

    def eval(self) -> Sam:
        """Return itself: it never trains."""
        return self

    def train(self, mode: bool = True) -> Sam:
        """Return itself: it has no weights of SAM's to train.

        Raises:
            ConfigError: training is asked for.
        """
        if mode:
            raise ConfigError("Sam.train: expected False; networks are trained with `fastsam train`")
        return self

    def half(self) -> Sam:
        """Return itself: it computes as its device does best."""
        return self

    float = bfloat16 = half

    def requires_grad_(self, requires_grad: bool = True) -> Sam:
        """Return itself: nothing here has gradients."""
        return self

    def parameters(self) -> Iterator[Any]:
        """Yield nothing: the network's weights are not SAM's."""
        return iter(())

    def load_state_dict(self, *_: Any, **__: Any) -> Any:
        """Refuse SAM's weights.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "Sam.load_state_dict: expected no weights of SAM's, which cannot run here; "
            "sam_model_registry[...](checkpoint='my-yolo-seg.pt') takes others"
        )

    def forward(self, batched_input: list[dict[str, Any]], multimask_output: bool) -> list[dict[str, Any]]:
        """Answer several images with their prompts, as SAM's forward does.

        Args:
            batched_input: dicts of ``image`` (3, H, W), scaled by ``ResizeLongestSide``, ``original_size``,
                and any of ``point_coords``, ``point_labels``, ``boxes``, ``mask_inputs`` in the scaled
                frame.
            multimask_output: three answers a prompt instead of one.

        Returns:
            dicts of ``masks`` (B, C, H, W) bool, ``iou_predictions`` (B, C), ``low_res_logits`` (B, C, 256,
            256).

        Raises:
            PromptError: a prompt does not fit.
        """
        from fastsam.compat.segment_anything.predictor import SamPredictor

        outputs = []
        for record in batched_input:
            predictor = SamPredictor(self)
            predictor.set_torch_image(record["image"][None], record["original_size"])
            masks, scores, logits = predictor.predict_torch(
                record.get("point_coords"),
                record.get("point_labels"),
                record.get("boxes"),
                record.get("mask_inputs"),
                multimask_output,
            )
            outputs.append({"masks": masks, "iou_predictions": scores, "low_res_logits": logits})
        return outputs

    __call__ = forward
