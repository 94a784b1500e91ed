"""The public names, each from the module that owns it; ``__init__.py`` reads this list, too."""

# ruff: noqa: I001  (isort would write one statement for each name)

from fastsam.config import (
    OutputConfig as OutputConfig,
    RenderConfig as RenderConfig,
    SegmentConfig as SegmentConfig,
    TrainConfig as TrainConfig,
    VideoConfig as VideoConfig,
)
from fastsam.errors import (
    CheckpointError as CheckpointError,
    ChecksumError as ChecksumError,
    ConfigError as ConfigError,
    DatasetError as DatasetError,
    DownloadError as DownloadError,
    ExportError as ExportError,
    FastSAMError as FastSAMError,
    FrameTooLargeError as FrameTooLargeError,
    ImageError as ImageError,
    ImageTooLargeError as ImageTooLargeError,
    InputError as InputError,
    MissingPackageError as MissingPackageError,
    NoImageError as NoImageError,
    PromptError as PromptError,
    RecordError as RecordError,
    TrainingError as TrainingError,
    UnknownWeightsError as UnknownWeightsError,
    UnsafeCheckpointError as UnsafeCheckpointError,
    VideoError as VideoError,
    WeightsError as WeightsError,
)
from fastsam.export import (
    Exporter as Exporter,
    load_npz as load_npz,
    load_sam_json as load_sam_json,
)
from fastsam.images.frame import (
    Frame as Frame,
)
from fastsam.images.reading import (
    read_frame as read_frame,
)
from fastsam.jobs.images import (
    BatchJob as BatchJob,
    run_batch as run_batch,
)
from fastsam.jobs.video import (
    VideoJob as VideoJob,
    VideoRun as VideoRun,
)
from fastsam.masks.levels import (
    Levels as Levels,
    containment_tree as containment_tree,
)
from fastsam.masks.maskset import (
    MaskSet as MaskSet,
)
from fastsam.masks.selection import (
    Selection as Selection,
)
from fastsam.model import (
    FastSAM as FastSAM,
)
from fastsam.prompts import (
    AllOf as AllOf,
    AnyOf as AnyOf,
    Box as Box,
    ButNot as ButNot,
    Mask as Mask,
    MaskLike as MaskLike,
    Point as Point,
    Points as Points,
    Position as Position,
    Prompt as Prompt,
    Reference as Reference,
    Text as Text,
    all_of as all_of,
    any_of as any_of,
    but_not as but_not,
    prompt_from_json as prompt_from_json,
    prompt_to_json as prompt_to_json,
    select as select,
)
from fastsam.result import (
    Result as Result,
)
from fastsam.search import (
    MaskIndex as MaskIndex,
)
from fastsam.segmenter import (
    Segmentation as Segmentation,
    Segmenter as Segmenter,
)
from fastsam.session import (
    Session as Session,
)
from fastsam.video.stream import (
    Stream as Stream,
)
from fastsam.video.track.tracked import (
    Tracked as Tracked,
)
from fastsam.video.write.spool import (
    read_frames as read_frames,
)

__version__: str
