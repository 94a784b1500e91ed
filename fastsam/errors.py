"""Every error that fastsam raises on purpose.

The tree (each also is the built-in that callers would expect to catch)::

    FastSAMError
        InputError (ValueError)           a value that the caller passed is unusable
            ImageError                    an image cannot be read or has no pixels
                VideoError (OSError)      a video has no frame, or a camera or stream is lost
            PromptError                   a prompt does not fit the image or contradicts itself
                NoImageError (RuntimeError)   there is no image yet that a prompt could be about
            RecordError                   parallel arrays of a record do not fit together
            ConfigError                   an option is outside its range
            DatasetError                  a dataset folder is not what it should be
        WeightsError (OSError)            a checkpoint cannot be had
            UnknownWeightsError           no table entry and no file of that name
            DownloadError                 the network or the server failed; says what to place by hand
            ChecksumError                 the bytes are not the ones in the table
            CheckpointError               the file is not a usable YOLO segmentation checkpoint
                UnsafeCheckpointError     the file asks for code that is not on the allow-list
        MissingPackageError (ImportError) an optional package is not installed
        ExportError (OSError)             a result cannot be written
        TrainingError (RuntimeError)      a training run cannot start or go on

Every message says what was wrong, what would be right, what was found, and what to do next.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ChecksumError",
    "ConfigError",
    "DatasetError",
    "DownloadError",
    "ExportError",
    "FastSAMError",
    "ImageError",
    "InputError",
    "MissingPackageError",
    "NoImageError",
    "PromptError",
    "RecordError",
    "TrainingError",
    "UnknownWeightsError",
    "UnsafeCheckpointError",
    "VideoError",
    "WeightsError",
]


class FastSAMError(Exception):
    """Base of all errors that fastsam raises on purpose."""


class InputError(FastSAMError, ValueError):
    """A value that the caller passed is unusable."""


class ImageError(InputError):
    """An image cannot be read or has no pixels."""


class VideoError(ImageError, OSError):
    """A video has no frame that can be read, or a camera or stream is lost."""


class PromptError(InputError):
    """A prompt does not fit the image, or contradicts itself."""


class NoImageError(PromptError, RuntimeError):
    """There is no image yet that a prompt could be about."""


class RecordError(InputError):
    """The parallel arrays of a record do not fit together."""


class ConfigError(InputError):
    """An option is outside its range."""


class DatasetError(InputError):
    """A dataset folder is not what it should be."""


class WeightsError(FastSAMError, OSError):
    """A checkpoint cannot be had."""


class UnknownWeightsError(WeightsError):
    """The name is neither in the weights table nor a file."""


class DownloadError(WeightsError):
    """The network or the server failed; the message names the file to place by hand."""


class ChecksumError(WeightsError):
    """A file's bytes are not those that the weights table promises."""


class CheckpointError(WeightsError):
    """A file is not a usable YOLO segmentation checkpoint."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint asks for code that is not on the allow-list; nothing of it was run."""


class MissingPackageError(FastSAMError, ImportError):
    """An optional package is not installed; the message names the command that installs it."""


class ExportError(FastSAMError, OSError):
    """A result cannot be written."""


class TrainingError(FastSAMError, RuntimeError):
    """A training run cannot start or go on."""
