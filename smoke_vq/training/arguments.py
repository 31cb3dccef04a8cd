"""Arguments of a training script: every key of a configuration, and every flag, with its default and its help."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


def option(default: Any, text: str) -> Any:
    """A field with its help text."""
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata={"help": text})
    return field(default=default, metadata={"help": text})


@dataclass
class TrainingArguments:
    """What the Trainer and the data need, whatever the recipe."""

    run_name: str = option("run", "Name of the run and of its folder in output_dir.")
    output_dir: str = option("runs", "Folder of the runs.")
    dataset: list[str] | None = option(
        None,
        "Prepared folder, image folder, .safetensors file, Hub name 'user/name', or 'simulated:CONFIGURATION'; of "
        "several a mix.",
    )
    dataset_weights: list[float] | None = option(
        None, "How often an epoch draws from each dataset; unset draws every frame once."
    )
    validation_dataset: list[str] | None = option(None, "Validate on other data than dataset; several are joined.")
    train_split: str = option("train", "Split to learn from.")
    validation_split: str = option("validation", "Split to validate on.")
    packed: bool = option(True, "Decode the data once into memory (false: decode as it goes, for larger data).")
    streaming: bool = option(False, "Stream the training split; needs frames_per_epoch.")
    frames_per_epoch: int | None = option(None, "Frames that count as an epoch of a stream.")
    resize: bool = option(False, "Bring frames of another size to the model's instead of refusing them.")
    num_workers: int = option(2, "Processes a rank that decode when packed is false.")
    flip: bool = option(True, "Mirror training frames left and right at random.")
    max_train_frames: int | None = option(None, "At most so many training frames, evenly spaced.")
    max_validation_frames: int | None = option(None, "At most so many frames at each validation; all at the end.")

    batch_size: int = option(64, "Frames a process and micro-batch.")
    epochs: int = option(100, "Passes over the training split.")
    max_steps: int | None = option(None, "Stop after so many optimizer steps instead.")
    lr: float = option(1e-4, "Learning rate after warm-up.")
    lr_scheduler: Literal[
        "cosine", "linear", "polynomial", "cosine_with_restarts", "constant", "constant_with_warmup"
    ] = option("cosine", "Course of the learning rate, by its name in diffusers.")
    warmup_steps: int = option(500, "Optimizer steps over which the learning rate rises.")
    weight_decay: float = option(0.0, "AdamW's decay, on weights of two or more dimensions, never on a codebook.")
    adam_beta1: float = option(0.9, "AdamW's first-moment decay.")
    adam_beta2: float = option(0.99, "AdamW's second-moment decay.")
    max_grad_norm: float = option(1.0, "Clip the norm of the gradient to this; 0 for no clipping.")
    gradient_accumulation_steps: int = option(1, "Micro-batches an optimizer step.")
    mixed_precision: Literal["no", "bf16", "fp16"] | None = option(
        None, "Autocast; unset takes accelerate's own setting."
    )
    ema_decay: float = option(0.999, "Average of the weights, warmed up; 0 for none.")
    gradient_checkpointing: bool = option(False, "Recompute activations in the backward pass to save memory.")
    compile: bool = option(False, "torch.compile the networks.")
    channels_last: bool = option(False, "Memory format of the networks; pays on GPUs.")
    num_threads: int | None = option(None, "CPU threads a process; unset takes the cores there are, shared out.")
    seed: int = option(0, "Seed of everything random.")

    validate_every: int = option(1, "Epochs between validations.")
    checkpoint_every: int = option(5, "Epochs between checkpoints.")
    checkpoint_steps: int | None = option(None, "Optimizer steps between checkpoints too, for long epochs.")
    keep_checkpoints: int = option(2, "Checkpoints to keep.")
    log_every: int = option(10, "Optimizer steps between entries of the history and the trackers.")
    num_images: int = option(8, "Validation frames that are reconstructed at each validation.")
    resume: bool = option(False, "Go on from the run's last checkpoint.")
    report_to: Literal["none", "wandb", "tensorboard", "trackio"] = option("none", "Tracker.")
    project_name: str = option("smoke-vq", "Name of the project in the tracker.")
    push_to_hub: bool = option(False, "Push the newest best model, in the background, and the finished one.")
    hub_model_id: str | None = option(None, "Repository 'user/name' for push_to_hub.")
    hub_private: bool = option(False, "A repository that push_to_hub makes is private.")
    model: dict = option({}, "Keys of the model's config.json.")

    def __post_init__(self):
        for name in ("dataset", "validation_dataset"):
            if isinstance(getattr(self, name), str):
                setattr(self, name, [getattr(self, name)])
        at_least_one = (
            "batch_size epochs gradient_accumulation_steps validate_every checkpoint_every keep_checkpoints log_every "
            "num_images"
        )
        for name in at_least_one.split():
            if getattr(self, name) < 1:
                raise ValueError(f"{name} expects 1 or more, found {getattr(self, name)}.")
        for name in (
            "max_steps",
            "checkpoint_steps",
            "frames_per_epoch",
            "max_train_frames",
            "max_validation_frames",
            "num_threads",
        ):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} expects 1 or more, found {getattr(self, name)}.")
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and not 0 <= value < float("inf"):
                raise ValueError(f"{item.name} expects a finite number of 0 or more, found {value}.")
        if self.ema_decay >= 1:
            raise ValueError(f"ema_decay expects a number in [0, 1), found {self.ema_decay}.")
        if self.dataset is None:
            raise ValueError("No data: give dataset in the configuration or --dataset on the command line.")
        if self.dataset_weights is not None:
            self._check_weights()
        if self.streaming and self.frames_per_epoch is None:
            raise ValueError("streaming needs frames_per_epoch, since a stream does not know its length.")
        if self.push_to_hub != (self.hub_model_id is not None):
            raise ValueError("push_to_hub and hub_model_id 'user/name' belong together: found one of them.")
        if "/" in self.run_name or self.run_name in ("", ".", ".."):
            raise ValueError(f"run_name expects the name of one folder, found {self.run_name!r}.")

    def _check_weights(self):
        if len(self.dataset_weights) != len(self.dataset):
            raise ValueError(
                f"dataset_weights expects one weight for each of {self.dataset}, found {self.dataset_weights}."
            )
        if not all(0 < weight < float("inf") for weight in self.dataset_weights):
            raise ValueError(f"dataset_weights expects finite numbers above 0, found {self.dataset_weights}.")

    @property
    def run_folder(self) -> Path:
        return Path(self.output_dir) / self.run_name
