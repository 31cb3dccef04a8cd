"""From arguments to the parts that every training script needs."""

import dataclasses
import importlib.util

import torch
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin, set_seed
from torch import nn

from ..data.loader import FrameLoader, Loader
from ..data.processor import SmokeImageProcessor
from ..data.sources import load_frames, stream_frames
from ..data.stream_loader import StreamLoader
from ..evaluation.evaluator import ReconstructionEvaluator
from ..hub.card import CardText
from ..hub.provenance import describe_training
from ..script import use_all_cores
from .arguments import TrainingArguments
from .publisher import Publisher


def make_accelerator(arguments: TrainingArguments) -> Accelerator:
    """The Accelerator of a run; seeds every random generator with the same number on every process.

    What differs between processes (batches) does so by construction, and what must not (weights) cannot.
    """
    if arguments.report_to != "none" and importlib.util.find_spec(arguments.report_to) is None:
        raise ValueError(  # accelerate would go on and report nothing
            f"report_to {arguments.report_to} needs the package {arguments.report_to}: "
            f"pip install 'smoke-vq[tracking]'."
        )
    accelerator = Accelerator(
        mixed_precision=arguments.mixed_precision,
        # Steps are counted by the trainer, which never starts a step that the epoch cannot finish.
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=arguments.gradient_accumulation_steps, sync_with_dataloader=False
        ),
        log_with=None if arguments.report_to == "none" else arguments.report_to,
        project_dir=str(arguments.run_folder),
        dynamo_backend="inductor" if arguments.compile else None,
    )
    set_seed(arguments.seed)
    use_all_cores(accelerator, arguments.num_threads)
    if accelerator.device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    return accelerator


def make_train_loader(accelerator: Accelerator, arguments: TrainingArguments, processor: SmokeImageProcessor) -> Loader:
    """Shuffled, flipped batches of the training split."""
    common = dict(
        processor=processor,
        batch_size=arguments.batch_size,
        flip=arguments.flip,
        seed=arguments.seed,
        device=accelerator.device,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    if arguments.streaming:
        sources, split, weights = arguments.dataset, arguments.train_split, arguments.dataset_weights
        stream = stream_frames(sources, split, weights, arguments.seed)
        return StreamLoader(stream, arguments.frames_per_epoch, processor.height, arguments.resize, **common)
    with accelerator.main_process_first():  # one process fills the cache of datasets
        frames = load_frames(
            arguments.dataset,
            arguments.train_split,
            processor.height,
            arguments.packed,
            arguments.resize,
            arguments.max_train_frames,
            arguments.dataset_weights,
        )
    return FrameLoader(frames, shuffle=True, num_workers=arguments.num_workers, **common)


def make_evaluator(
    accelerator: Accelerator,
    arguments: TrainingArguments,
    processor: SmokeImageProcessor,
    perceptual: nn.Module | None = None,
) -> ReconstructionEvaluator:
    """Validation frames, always packed: they are read at every validation. A mix is joined, whatever its weights."""
    sources = arguments.validation_dataset or arguments.dataset
    with accelerator.main_process_first():
        frames = load_frames(sources, arguments.validation_split, processor.height, resize=arguments.resize).pack()
    return ReconstructionEvaluator(
        accelerator,
        frames,
        processor,
        batch_size=arguments.batch_size,
        num_images=arguments.num_images,
        max_frames=arguments.max_validation_frames,
        distances={} if perceptual is None else {"perceptual": perceptual.to(accelerator.device)},
    )


def make_publisher(accelerator: Accelerator, arguments: TrainingArguments, card_text: CardText) -> Publisher:
    """Completes and pushes the models of a run; only the main process pushes."""
    return Publisher(
        arguments.run_folder,
        card_text,
        describe_training(
            arguments.dataset,
            arguments.train_split,
            arguments.validation_split,
            dataset_weights=arguments.dataset_weights,
            validation_dataset=arguments.validation_dataset,
            init_from=getattr(arguments, "init_from", None),
            num_processes=accelerator.num_processes,
        ),
        dataclasses.asdict(arguments),
        repo_id=arguments.hub_model_id if accelerator.is_main_process else None,
        private=arguments.hub_private,
    )
