"""Build the parts that every training script needs from its arguments."""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, GradientAccumulationPlugin, set_seed
from torch import nn

from ..data.frames import PackedFrames
from ..data.loader import FrameLoader
from ..data.processor import SmokeImageProcessor
from ..data.smoke_sampling import SmokeSampledFrames
from ..data.sources import load_frames
from ..evaluation.evaluator import ReconstructionEvaluator
from ..hub.card import CardText
from ..hub.provenance import describe_training
from ..script import use_all_cores
from .arguments import DataArguments, OptimizationArguments, TrainingArguments
from .publisher import Publisher
from .run_folder import keep_frames_per_step

# A validation of so many frames takes at most 5 % of an epoch: a frame takes 0.3 to 0.45 of its time in a step.
VALIDATION_SHARE = 0.1  # of the number of training frames
FEWEST_VALIDATION_FRAMES = 256  # with fewer, the figures of the codebook mean little

SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)


def make_accelerator(arguments: TrainingArguments) -> Accelerator:
    """The Accelerator of a run; seeds all random generators, with the same seed on every process.

    The loader gives each process other batches, while the initial weights must be equal. If a run is resumed on another
    number of processes, `arguments` get another batch size or accumulation, so that a step has the same frames.

    Raises:
        ValueError: the package of the tracker is not installed; the frames of a step cannot be divided among the
            processes; a kind of distributed training whose checkpoints smoke_vq does not write.
    """
    optimization, report_to = arguments.optimization, arguments.tracking.report_to
    arguments.tracking.check_tracker()
    accelerator = Accelerator(
        mixed_precision=optimization.mixed_precision,
        # The trainer counts the steps, and omits a last step with too few micro-batches.
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=optimization.gradient_accumulation_steps, sync_with_dataloader=False
        ),
        log_with=None if report_to == "none" else report_to,
        project_dir=str(arguments.run.folder),
        dynamo_backend="inductor" if optimization.compile else None,
        # The gradients are views of what the processes exchange, not copies. The graph is not static: what a step uses
        # changes when quantization starts and when the discriminator does.
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )
    if accelerator.distributed_type in SHARDED:
        raise ValueError(
            f"smoke_vq trains with DistributedDataParallel, whose processes each hold the whole model: found "
            f"{accelerator.distributed_type.value} in the configuration of accelerate."
        )
    if change := keep_frames_per_step(arguments, accelerator.num_processes):
        accelerator.gradient_accumulation_steps = optimization.gradient_accumulation_steps
        accelerator.print(change)
    set_seed(arguments.run.seed)
    use_all_cores(accelerator, arguments.run.num_threads)
    if accelerator.device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    return accelerator


def make_train_loader(
    accelerator: Accelerator, arguments: TrainingArguments, processor: SmokeImageProcessor
) -> FrameLoader:
    """Shuffled, randomly mirrored batches of the training split, the first of them squares of the frames by choice.

    Raises:
        ValueError: squares that are larger than a frame.
    """
    data = arguments.data
    if data.crop_until > 0 and data.crop_size > processor.height:
        raise ValueError(
            f"crop_size expects at most {processor.height} pixels, the size of the model's frames, found "
            f"{data.crop_size}."
        )
    with accelerator.main_process_first():  # one process fills the cache of datasets
        frames = load_frames(
            data.sources,
            data.train_split,
            processor.height,
            data.packed,
            data.resize,
            data.max_train_samples,
            data.dataset_weights,
        )
        if data.smoke_sampling > 0:
            frames = SmokeSampledFrames(frames, data.smoke_sampling)
    loader = FrameLoader(
        frames,
        processor,
        data.batch_size,
        shuffle=True,
        flip=data.flip,
        crop_size=data.crop_size,
        seed=arguments.run.seed,
        num_workers=data.dataloader_num_workers,
        device=accelerator.device,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    loader.crop_batches = round(data.crop_until * num_batches(arguments.optimization, loader))
    return loader


def num_batches(arguments: OptimizationArguments, loader: FrameLoader) -> int:
    """Micro-batches of the complete training on one process."""
    if arguments.max_steps is None:
        return arguments.epochs * len(loader)
    return arguments.max_steps * arguments.gradient_accumulation_steps


def make_evaluator(
    accelerator: Accelerator,
    arguments: DataArguments,
    processor: SmokeImageProcessor,
    num_images: int = 8,
    perceptual: nn.Module | None = None,
    build: Callable[..., ReconstructionEvaluator] = ReconstructionEvaluator,
    num_training_frames: int | None = None,
) -> ReconstructionEvaluator:
    """An evaluator on the validation split, which is always packed because it is read at every validation.

    Several datasets are joined, whatever their weights.

    Args:
        num_images: frames in the picture of samples.
        perceptual: a perceptual distance to report as `perceptual`.
        build: the class of the evaluator, or a function with the arguments of `ReconstructionEvaluator`.
        num_training_frames: limits the frames of each validation unless `max_validation_samples` does, so that it takes
            at most 5 % of an epoch; None limits nothing.
    """
    max_frames = arguments.max_validation_samples
    if max_frames is None and num_training_frames is not None:
        max_frames = max(FEWEST_VALIDATION_FRAMES, round(VALIDATION_SHARE * num_training_frames))
    sources, split = arguments.validation_sources, arguments.validation_split
    with accelerator.main_process_first():
        frames = load_frames(sources, split, processor.height, resize=arguments.resize).pack()
    assert isinstance(frames, PackedFrames)
    return build(
        accelerator,
        frames,
        processor,
        batch_size=arguments.batch_size,
        num_images=num_images,
        max_frames=max_frames,
        distances={} if perceptual is None else {"perceptual": perceptual.to(accelerator.device)},
    )


def make_publisher(
    accelerator: Accelerator,
    arguments: TrainingArguments,
    card_text: CardText,
    describe: Callable[[int], dict[str, Any]],
) -> Publisher:
    """A publisher that completes and pushes the models of a run; only the main process pushes.

    Args:
        card_text: text and metadata of the card, `PretrainedModel.card_text`.
        describe: facts about the recipe for the card, see `Objective.describe`.
    """
    data, hub = arguments.data, arguments.hub
    return Publisher(
        card_text,
        describe_training(
            data.sources,
            data.train_split,
            data.validation_split,
            dataset_weights=data.dataset_weights,
            validation_dataset=data.validation_dataset,
            init_from=arguments.to_dict().get("init_from"),
            num_processes=accelerator.num_processes,
        ),
        arguments.to_dict(),
        repo_id=hub.hub_model_id if accelerator.is_main_process else None,
        private=hub.hub_private_repo,
        describe=describe,
    )
