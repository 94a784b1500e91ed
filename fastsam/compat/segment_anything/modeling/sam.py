"""SAM's ``Sam``: what the registry returns, and predictors and generators take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastsam import FastSAM
from fastsam.compat.arguments import core_of, device_name
from fastsam.compat.attributes import network_parameters
from fastsam.compat.segment_anything.modeling.parts import Part
from fastsam.errors import ConfigError
from fastsam.needed import needed

__all__ = ["Sam"]


class Sam:
    """A segmenter in the shape of SAM's model; attributes may be set on it.

    Attributes:
        core: the :class:`fastsam.FastSAM` that answers.
        image_format: channel order that predictors expect of arrays.
        mask_threshold: where logits are cut.
        image_encoder: ``img_size``, the longer side that ``ResizeLongestSide`` scales to; like
            ``prompt_encoder`` and ``mask_decoder`` it has sizes, and cannot be run.
        image_size: the same size, as SAM 2 has it.

    Args:
        core: what answers; the embedded weights by default.
    """

    def __init__(self, core: FastSAM | None = None) -> None:
        self.core = FastSAM() if core is None else core
        self._checkpoint = getattr(self.core.segmenter, "checkpoint", None)
        self.image_format = "RGB"
        self.mask_threshold = 0.0
        self.image_size = 1024
        self.image_encoder = Part("image_encoder", img_size=1024)
        self.prompt_encoder = Part(
            "prompt_encoder",
            image_embedding_size=(64, 64),
            input_image_size=(1024, 1024),
            mask_input_size=(256, 256),
        )
        self.mask_decoder = Part("mask_decoder", num_mask_tokens=4, mask_threshold=0.0)
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
        """Yield the weights of the network that answers; they are not SAM's."""
        return network_parameters(self.core)

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield them with numbers for names."""
        return ((f"{k}", weight) for k, weight in enumerate(self.parameters()))

    def modules(self) -> Iterator[Any]:
        """Yield nothing: SAM's layers are not here."""
        return iter(())

    children = named_children = named_modules = modules

    def state_dict(self) -> dict[str, Any]:
        """Return them by these names."""
        return dict(self.named_parameters())

    @property
    def pixel_mean(self) -> Any:
        """(3, 1, 1) tensor: what SAM subtracts of RGB pixels."""
        return self._column(123.675, 116.28, 103.53)

    @property
    def pixel_std(self) -> Any:
        """(3, 1, 1) tensor: what SAM then divides by."""
        return self._column(58.395, 57.12, 57.375)

    def _column(self, *values: Any) -> Any:
        import torch

        return torch.tensor(values, device=self.device).view(-1, 1, 1)

    def preprocess(self, x: Any) -> Any:
        """Return (..., 3, h, w) RGB pixels as SAM's network wants them: normalized, padded to 1024x1024."""
        from torch.nn.functional import pad

        side = self.image_size
        return pad((x - self.pixel_mean) / self.pixel_std, (0, side - x.shape[-1], 0, side - x.shape[-2]))

    def postprocess_masks(self, masks: Any, input_size: Any, original_size: Any) -> Any:
        """Return (B, C, 256, 256) logits at the size of the image, (B, C, H, W).

        Args:
            masks: the logits, as predictors give them.
            input_size: (height, width) of the scaled image.
            original_size: (height, width) of the image.
        """
        from torch.nn.functional import interpolate

        def scaled(tensor: Any, size: Any) -> Any:
            return interpolate(tensor, tuple(map(int, size)), mode="bilinear", align_corners=False)

        square = scaled(masks, (self.image_size, self.image_size))
        return scaled(square[..., : input_size[0], : input_size[1]], original_size)

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
