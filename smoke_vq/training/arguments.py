"""Arguments of a training in groups: every key of a configuration file, and every flag, with default and help.

Each part of the training receives the groups that it needs. A recipe adds a group of its own (`RecipeArguments`).
"""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from ..checks import check_installed

# Whether an option may change when a run is resumed:
FREE = "free"  # yes: it does not affect the training
ADJUSTABLE = "adjustable"  # yes, for example to train longer or to save memory; the change is printed
FIXED = "fixed"  # no


def option(default: Any, text: str, on_resume: str = FIXED, at_least: float | None = None) -> Any:
    """A field of a group of arguments.

    Args:
        text: shown by --help.
        on_resume: FREE, ADJUSTABLE or FIXED.
        at_least: the smallest value of a number; None allows 0 and more.
    """
    metadata = {"help": text, "on_resume": on_resume, "at_least": at_least}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class ArgumentGroup:
    """Checks the numbers of a group: finite, and not below their minimum."""

    def __post_init__(self):
        for item in dataclasses.fields(self):
            value, minimum = getattr(self, item.name), item.metadata["at_least"]
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if minimum is not None and value < minimum:
                raise ValueError(f"{item.name} expects {minimum:g} or more, found {value}.")
            if not 0 <= value < math.inf:
                raise ValueError(f"{item.name} expects a finite number of 0 or more, found {value}.")


@dataclass
class DataArguments(ArgumentGroup):
    """Training and validation data."""

    _argument_group_name = "data"

    dataset: list[str] | None = option(
        None,
        "Prepared folder, image folder, .safetensors file, Hub name 'user/name', or 'simulated:CONFIGURATION'; "
        "several are mixed.",
        FREE,  # the data may be moved: a fingerprint of the frames is compared instead
    )
    dataset_weights: list[float] | None = option(
        None, "How often an epoch draws from each dataset; unset draws every frame once."
    )
    validation_dataset: list[str] | None = option(
        None, "Validate on other data than dataset; several are joined.", FREE
    )
    train_split: str = option("train", "Split to learn from.")
    validation_split: str = option("validation", "Split to validate on.")
    packed: bool = option(True, "Decode the data once into memory; false decodes on the fly, for larger data.", FREE)
    resize: bool = option(False, "Resize frames of another size to the model's instead of refusing them.")
    dataloader_num_workers: int = option(2, "Worker processes per rank that decode, when packed is false.", FREE)
    flip: bool = option(True, "Mirror training frames left and right at random.")
    smoke_sampling: float = option(
        0.0, "Draw training frames in proportion to their smoke in pixels to this power; 0 draws each once in an epoch."
    )
    crop_until: float = option(
        0.0, "Share of the training that learns from squares of crop_size pixels where the smoke is, at its start."
    )
    crop_size: int = option(32, "Side of these squares in pixels, a multiple of 8.", at_least=8)
    # The frames of a step are compared instead, so that a run can continue on another number of processes.
    batch_size: int = option(64, "Frames per process and micro-batch.", ADJUSTABLE, at_least=1)
    max_train_samples: int | None = option(None, "Use at most so many training frames, evenly spaced.", at_least=1)
    max_validation_samples: int | None = option(
        None,
        "Use at most so many frames at each validation; all are used at the end. Unset takes all, but for an "
        "autoencoder a tenth of the number of training frames, and at least 256: less than a twentieth of an epoch.",
        FREE,
        at_least=1,
    )

    def __post_init__(self):
        for name in ("dataset", "validation_dataset"):
            if isinstance(getattr(self, name), str):
                setattr(self, name, [getattr(self, name)])
        super().__post_init__()
        if self.dataset is None:
            raise ValueError("No data: give dataset in the configuration or --dataset on the command line.")
        weights = self.dataset_weights
        if weights is not None and len(weights) != len(self.dataset):
            raise ValueError(f"dataset_weights expects one weight for each of {self.dataset}, found {weights}.")
        if weights is not None and not all(0 < weight < math.inf for weight in weights):
            raise ValueError(f"dataset_weights expects finite numbers above 0, found {weights}.")
        if weights is not None and self.smoke_sampling > 0:
            raise ValueError(
                "smoke_sampling and dataset_weights both say how often a frame is drawn: expected one of them."
            )

        if self.crop_until > 1:
            raise ValueError(f"crop_until expects a share from 0 to 1, found {self.crop_until}.")
        if self.crop_size % 8 != 0:
            raise ValueError(f"crop_size expects a multiple of 8, found {self.crop_size}.")

    @property
    def sources(self) -> list[str]:
        return self.dataset or []

    @property
    def validation_sources(self) -> list[str]:
        return self.validation_dataset or self.sources


@dataclass
class OptimizationArguments(ArgumentGroup):
    """Length of the training, optimizer, precision and averaging of weights."""

    _argument_group_name = "optimization"

    optimizer: Literal["adamw", "muon"] = option(
        "adamw", "AdamW, or Muon for matrices and convolutions with AdamW for all other parameters."
    )
    epochs: int = option(100, "Passes over the training split.", ADJUSTABLE, at_least=1)
    max_steps: int | None = option(None, "Train for so many optimizer steps instead.", ADJUSTABLE, at_least=1)
    lr: float = option(1e-4, "Learning rate after warm-up.", ADJUSTABLE)
    lr_scheduler: Literal[
        "cosine", "linear", "polynomial", "cosine_with_restarts", "constant", "constant_with_warmup"
    ] = option("cosine", "Learning-rate schedule, by its name in diffusers.")
    warmup_steps: int = option(500, "Optimizer steps over which the learning rate rises.")
    weight_decay: float = option(0.0, "Weight decay of AdamW, on weights of two or more dimensions except quantizers.")
    adam_beta1: float = option(0.9, "Decay of AdamW's first moment.")
    adam_beta2: float = option(0.99, "Decay of AdamW's second moment.")
    max_grad_norm: float = option(1.0, "Clip the norm of the gradient to this; 0 disables clipping.", ADJUSTABLE)
    max_skipped_steps: int = option(
        0, "Leave out at most so many steps whose gradient is not finite, instead of ending the run.", ADJUSTABLE
    )
    gradient_accumulation_steps: int = option(1, "Micro-batches per optimizer step.", ADJUSTABLE, at_least=1)
    mixed_precision: Literal["no", "bf16", "fp16"] | None = option(
        None, "Autocast; unset uses accelerate's setting.", ADJUSTABLE
    )
    ema_decay: float = option(0.999, "Decay of the average of the weights, with warm-up; 0 disables it.")
    ema_steps: int = option(4, "Steps between updates of the average, which keeps its horizon.", ADJUSTABLE, at_least=1)
    gradient_checkpointing: bool = option(
        False, "Recompute activations in the backward pass to save memory.", ADJUSTABLE
    )
    compile: bool = option(False, "Compile the networks with torch.compile.", ADJUSTABLE)
    channels_last: bool = option(False, "Use the channels_last memory format, which is faster on GPUs.")

    def __post_init__(self):
        super().__post_init__()
        if self.ema_decay >= 1:
            raise ValueError(f"ema_decay expects a number in [0, 1), found {self.ema_decay}.")


@dataclass
class RunArguments(ArgumentGroup):
    """Folder of the run, validations, checkpoints and resuming."""

    _argument_group_name = "run"

    run_name: str = option("run", "Name of the run and of its folder in output_dir.", FREE)
    output_dir: str = option("runs", "Folder of the runs.", FREE)
    seed: int = option(0, "Seed of all random numbers.")
    num_threads: int | None = option(None, "CPU threads per process; unset divides the cores evenly.", FREE, at_least=1)
    validation_epochs: int = option(1, "Epochs between validations.", FREE, at_least=1)
    checkpointing_epochs: int = option(5, "Epochs between checkpoints.", FREE, at_least=1)
    checkpointing_steps: int | None = option(
        None, "Optimizer steps between further checkpoints, for long epochs.", FREE, at_least=1
    )
    checkpoints_total_limit: int = option(2, "Number of checkpoints to keep.", FREE, at_least=1)
    checkpoint_in_background: bool = option(
        True, "Write checkpoints while the training goes on; false saves the memory of a copy of its state.", FREE
    )
    resume_from_checkpoint: str | None = option(
        None, "Continue from 'latest', or from a checkpoint of this run by its name or path.", FREE
    )
    trust_pickle: bool = option(
        False, "Resume from a checkpoint of an older version, whose pickle files may run any code.", FREE
    )
    hang_timeout: float = option(
        1800.0, "Seconds after which a step that does not finish ends the run; 0 waits for ever.", FREE
    )

    def __post_init__(self):
        super().__post_init__()
        if "/" in self.run_name or self.run_name in ("", ".", ".."):
            raise ValueError(f"run_name expects the name of one folder, found {self.run_name!r}.")

    @property
    def folder(self) -> Path:
        return Path(self.output_dir) / self.run_name


@dataclass
class TrackingArguments(ArgumentGroup):
    """Logging and trackers."""

    _argument_group_name = "tracking"

    logging_steps: int = option(10, "Optimizer steps between entries of the history and the tracker.", FREE, at_least=1)
    num_images: int = option(8, "Validation frames in the picture of samples.", FREE, at_least=1)
    report_to: Literal["none", "wandb", "tensorboard", "trackio"] = option("none", "Tracker.", FREE)
    project_name: str = option("smoke-vq", "Name of the project in the tracker.", FREE)

    def check_tracker(self) -> None:
        """Raise a ValueError if the package of the tracker is not installed; accelerate would leave the tracker out."""
        if self.report_to != "none":
            package = {self.report_to: f"the package {self.report_to}"}
            check_installed(f"report_to {self.report_to}", "tracking", **package)


@dataclass
class HubArguments(ArgumentGroup):
    """Pushing to the Hub."""

    _argument_group_name = "Hub"

    push_to_hub: bool = option(False, "Push each new best model in the background, and the finished one.", FREE)
    hub_model_id: str | None = option(None, "Repository 'user/name' for push_to_hub.", FREE)
    hub_private_repo: bool = option(False, "Make the repository private if it does not exist yet.", FREE)

    def __post_init__(self):
        super().__post_init__()
        if self.push_to_hub != (self.hub_model_id is not None):
            raise ValueError("push_to_hub and hub_model_id 'user/name' belong together: found one without the other.")


@dataclass
class RecipeArguments(ArgumentGroup):
    """Options of a recipe: its model and losses. A subclass's docstring is the description that --help shows.

    name: as in the names of its installed configurations, config_NAME_tiny.yaml.
    """

    _argument_group_name = "recipe"
    name: ClassVar[str] = ""

    model: dict = option({}, "Keys of the model's config.json.")


Recipe = TypeVar("Recipe", bound=RecipeArguments)


@dataclass
class TrainingArguments(Generic[Recipe]):
    """All groups of the arguments of one training."""

    data: DataArguments
    optimization: OptimizationArguments
    run: RunArguments
    tracking: TrackingArguments
    hub: HubArguments
    recipe: Recipe

    @classmethod
    def build(cls, recipe_class: type[Recipe], **values: Any) -> "TrainingArguments[Recipe]":
        """Build all groups from `values`, by the names of the options; other options have their defaults.

        Raises:
            ValueError: an unknown name; a value that its group refuses.
        """
        built: dict[str, Any] = {}
        for name, group in groups_of(recipe_class).items():
            own = {item.name for item in dataclasses.fields(group)} & set(values)
            built[name] = group(**{key: values.pop(key) for key in own})
        if values:
            raise ValueError(f"Unknown argument {next(iter(values))!r}.")
        return cls(**built)

    def check_data(self, size: int | None = None) -> None:
        """Refuse datasets that do not exist or, if it is known at once, whose frames have another size.

        Args:
            size: height and width of the model's frames, or None if it is not known yet.

        Raises:
            OSError, ValueError: as `check_sources`.
        """
        from ..data.sources import check_sources  # imports torch

        check_sources(self.data.sources, [self.data.train_split], size)
        check_sources(self.data.validation_sources, [self.data.validation_split], size)

    def count_frames(self) -> int | None:
        """The number of training frames, if it is known without reading them; otherwise None."""
        from ..data.sources import find_source  # imports torch

        data = self.data
        counts = [find_source(name).count(name, data.train_split) for name in data.sources]
        if data.dataset_weights is not None or None in counts:
            return None
        total = sum(count for count in counts if count is not None)
        return total if data.max_train_samples is None else min(total, data.max_train_samples)

    def to_dict(self) -> dict[str, Any]:
        """All options by name, without their groups, as in a configuration file."""
        groups = (getattr(self, item.name) for item in dataclasses.fields(self))
        return {name: value for group in groups for name, value in dataclasses.asdict(group).items()}


def groups_of(recipe_class: type[Recipe]) -> dict[str, type[ArgumentGroup]]:
    """The groups of a training, by their name in `TrainingArguments`."""
    return {
        "data": DataArguments,
        "optimization": OptimizationArguments,
        "run": RunArguments,
        "tracking": TrackingArguments,
        "hub": HubArguments,
        "recipe": recipe_class,
    }


def options_of(recipe_class: type[Recipe]) -> dict[str, dataclasses.Field]:
    """All options of a training, by name."""
    return {item.name: item for group in groups_of(recipe_class).values() for item in dataclasses.fields(group)}
