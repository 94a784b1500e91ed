"""Every error that fastsam raises on purpose.

The tree::

    FastSAMError
        InputError (ValueError)           a value that the caller passed is unusable
            ImageError                    an image cannot be read or has no pixels
                ImageTooLargeError        an image has more pixels than the limit
                VideoError                a video has no frame, or a camera or stream is lost
                    FrameTooLargeError    a video's frames have more pixels than the limit
            PromptError                   a prompt does not fit the image or contradicts itself
                NoImageError (RuntimeError)   there is no image yet that a prompt could be about
            RecordError                   parallel arrays of a record do not fit together
            ConfigError                   an option is outside its range
            DatasetError                  a dataset folder is not what it should be
        WeightsError                      a checkpoint cannot be had
            UnknownWeightsError           no table entry and no file of that name
            DownloadError                 the network or the server failed; says what to place by hand
            ChecksumError                 the bytes are not the ones in the table
            CheckpointError               the file is not a usable YOLO segmentation checkpoint
                UnsafeCheckpointError     the file asks for code that is not on the allow-list
        MissingPackageError (ImportError) an optional package is not installed
        ExportError                       a result cannot be written
        TrainingError (RuntimeError)      a training run cannot start or go on

None of them is an ``OSError``: code that handles what the file system says never swallows them by accident.

Every message says what was wrong, what would be right, what was found, and what to do next. The parts are
attributes, so nobody has to take a message apart: ``problem`` names no file and no folder, those are in
``path``, ``subject`` and ``advice``; so a page that must not show a server's folders shows ``problem``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from difflib import get_close_matches
from typing import Self

__all__ = [
    "CheckpointError",
    "ChecksumError",
    "ConfigError",
    "DatasetError",
    "DownloadError",
    "ExportError",
    "FastSAMError",
    "FrameTooLargeError",
    "ImageError",
    "ImageTooLargeError",
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
    """Base of all errors that fastsam raises on purpose.

    Attributes:
        problem: what is wrong, without names of files; the whole message if it was raised with nothing else.
        subject: what it is about, such as ``"image 'cats/1.jpg'"``; empty if the problem says so itself.
        advice: what to do next; empty if the problem says so itself.
        path: the file or folder that it is about; None if it is about no file.

    >>> error = ImageError("is empty", subject="image 'a.jpg'", advice="copy it again", path="a.jpg")
    >>> str(error), error.problem
    ("image 'a.jpg': is empty; copy it again", 'is empty')
    """

    def __init__(
        self,
        problem: str = "",
        *,
        subject: str = "",
        advice: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem, self.subject, self.advice = problem, subject, advice
        self.path = None if path is None else os.fspath(path)

    def __str__(self) -> str:
        """Return the message: subject, problem and advice."""
        subject = f"{self.subject}: " if self.subject else ""
        advice = f"; {self.advice}" if self.advice else ""
        return f"{subject}{self.problem}{advice}"

    def about(self, subject: str, path: str | os.PathLike[str] | None = None) -> Self:
        """Return the same error with a subject (and path), for code that knows more than who raised it.

        >>> str(PromptError("expected a point").about("frame 3"))
        'frame 3: expected a point'
        """
        error = copy(self)
        error.subject = subject
        error.path = self.path if path is None else os.fspath(path)
        return error


class InputError(FastSAMError, ValueError):
    """A value that the caller passed is unusable."""


class ImageError(InputError):
    """An image cannot be read or has no pixels."""


class ImageTooLargeError(ImageError):
    """An image has more pixels than the limit."""


class VideoError(ImageError):
    """A video has no frame that can be read, or a camera or stream is lost."""


class FrameTooLargeError(ImageTooLargeError, VideoError):
    """A video's frames have more pixels than the limit."""


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


class WeightsError(FastSAMError):
    """A checkpoint cannot be had."""


class UnknownWeightsError(WeightsError):
    """The name is neither in the weights table nor a file."""


class DownloadError(WeightsError):
    """The network or the server failed; the message names the file to place by hand.

    Attributes:
        status: the HTTP status that the server answered; None if it did not answer.
    """

    def __init__(
        self,
        problem: str = "",
        *,
        subject: str = "",
        advice: str = "",
        path: str | os.PathLike[str] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(problem, subject=subject, advice=advice, path=path)
        self.status = status


class ChecksumError(WeightsError):
    """A file's bytes are not those that the weights table promises."""


class CheckpointError(WeightsError):
    """A file is not a usable YOLO segmentation checkpoint."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint asks for code that is not on the allow-list; nothing of it was run."""


class MissingPackageError(FastSAMError, ImportError):
    """An optional package is not installed; the message names the command that installs it."""


class ExportError(FastSAMError):
    """A result cannot be written."""


class TrainingError(FastSAMError, RuntimeError):
    """A training run cannot start or go on."""


def not_one_of(value: object, known: Iterable[object], what: str) -> str:
    """Return the message for a name that is not one of those known, with what was probably meant.

    >>> not_one_of("cof", ["conf", "iou"], "option")
    "option 'cof': expected one of conf, iou; did you mean conf?"
    """
    names = [str(name) for name in known]
    near = get_close_matches(value, names, n=2, cutoff=0.6) if isinstance(value, str) else []
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"{what} {value!r:.80}: expected one of {', '.join(names)}{hint}"


def check_one_of(value: object, known: Iterable[object], what: str, kind: type[FastSAMError]) -> None:
    """Raise an error of a kind if a value is not one of those known.

    >>> check_one_of("iou", ["conf", "iou"], "option", ConfigError)
    """
    choices = list(known)
    if value not in choices:
        raise kind(not_one_of(value, choices, what))


_LONGEST_REASON = 300  # characters: errors of libraries may quote a whole file


def reason_of(error: BaseException) -> str:
    """Return what an error of another library says, without errno and file name; its type if it says nothing.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "a.pt")), reason_of(EOFError())
    ('No such file or directory', 'EOFError')
    """
    said = str(getattr(error, "strerror", None) or error).strip()[:_LONGEST_REASON]
    return said or type(error).__name__


@contextmanager
def translated(
    *kinds: type[BaseException],
    to: type[FastSAMError],
    problem: str,
    subject: str = "",
    advice: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Iterator[None]:
    """Raise errors of the built-ins and of other libraries as one of ours; ours pass as they are.

    Args:
        kinds: what to translate.
        to: our class.
        problem: what is wrong; ``{reason}`` stands for what the error says.
        subject: see :class:`FastSAMError`.
        advice: see :class:`FastSAMError`.
        path: see :class:`FastSAMError`.

    >>> with translated(OSError, to=ImageError, problem="cannot be opened ({reason})", subject="image 'a'"):
    ...     open("no such folder/a")
    Traceback (most recent call last):
    ...
    fastsam.errors.ImageError: image 'a': cannot be opened (No such file or directory)
    """
    try:
        yield
    except FastSAMError:
        raise
    except kinds as error:
        said = problem.replace("{reason}", reason_of(error))
        raise to(said, subject=subject, advice=advice, path=path) from error
