"""Train a SmokeFlowTransformer, which forecasts plumes in the latents of an autoencoder.

accelerate launch scripts/train_flow_matching.py --config configs/config_flow_matching_tiny.yaml --run-name forecast

The data are folders that smoke-vq encode wrote with --latents, or frames, which are encoded at the start.
Validation needs frames. The run's folder `forecaster` is a complete SmokeForecastPipeline.
"""

import shutil

from smoke_vq import NANO_MODEL
from smoke_vq.layout import ARGUMENTS, FORECASTER, METRICS, TRAINING
from smoke_vq.model_config import AUTOENCODERS, check_model, frame_size, model_parameters
from smoke_vq.model_values import check_forecaster
from smoke_vq.script import run
from smoke_vq.training import FlowMatchingArguments, check_arguments, parse_arguments
from smoke_vq.training.arguments import DataArguments


def main() -> None:
    arguments = parse_arguments(FlowMatchingArguments)
    recipe, data = arguments.recipe, arguments.data
    check_arguments("SmokeFlowTransformer", recipe.model, "model")
    check_forecaster(model_parameters("SmokeFlowTransformer") | recipe.model)
    name = str(NANO_MODEL) if recipe.autoencoder is None else recipe.autoencoder
    check_model(name, AUTOENCODERS)
    if recipe.init_from is not None:
        check_model(recipe.init_from, ["SmokeFlowTransformer"])
    if recipe.projection is not None:
        check_model(recipe.projection, ["LatentProjection"])
    arguments.check_data(frame_size(name))
    import torch

    from smoke_vq import SmokeFlowTransformer, SmokeForecastPipeline, SmokeImageProcessor
    from smoke_vq.data.loader import FrameLoader
    from smoke_vq.data.windows import windows
    from smoke_vq.evaluation.forecasts.evaluator import ForecastEvaluator
    from smoke_vq.hub.card import write_card
    from smoke_vq.models.auto import AutoAutoencoder
    from smoke_vq.models.initialization import continue_forecaster
    from smoke_vq.tokens import LatentSpace, latents_digest, model_digest, principal_components, statistics_digest
    from smoke_vq.training import FlowMatchingObjective, Trainer, make_accelerator, make_publisher

    for option in ("max_train_samples", "dataset_weights", "smoke_sampling", "crop_until"):
        if getattr(data, option):
            raise ValueError(f"{option} has no effect on the training of a forecaster: expected it to be left out.")
    accelerator = make_accelerator(arguments)
    if recipe.init_from is None:
        model = SmokeFlowTransformer(**recipe.model)
    else:
        with accelerator.main_process_first():
            model = continue_forecaster(recipe.init_from, recipe.model).train()
    config = model.config
    with accelerator.main_process_first():
        autoencoder = AutoAutoencoder.from_pretrained(name).to(accelerator.device).eval().requires_grad_(False)
        processor = SmokeImageProcessor.from_pretrained(name)
        projection = load_projection(recipe.projection, autoencoder, config.in_channels)
        validation = load_validation(data, processor)
        parts = load_parts(data, autoencoder, processor)
    space = LatentSpace(autoencoder, projection)
    check_latents(config, autoencoder, processor, projection)
    window = (config.num_previous - 1, config.num_frames, config.use_earlier_frame)
    for part in parts:  # clips that are too short are refused before anything is encoded
        windows(part, *window)
    evaluator = ForecastEvaluator(
        validation,
        processor,
        space,
        config.num_previous + config.use_earlier_frame,
        recipe.forecast_frames,
        recipe.num_samples,
        recipe.num_inference_steps,
        recipe.sampler,
        data.max_validation_samples,
        arguments.tracking.num_images,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    latents = encode_parts(parts, autoencoder, processor, data.flip, accelerator)
    if projection is not None:
        if recipe.projection is None:
            mine = latents.images[accelerator.process_index :: accelerator.num_processes].split(1024)
            projection.set_principal_components(principal_components((part.float() for part in mine), accelerator))
        projection.to(accelerator.device).eval().requires_grad_(False)
    latents = latents.to(accelerator.device).map(space.normalize)
    digests = {"autoencoder_sha256": latents_digest(autoencoder)}
    if projection is None:
        digests["statistics_sha256"] = statistics_digest(autoencoder)
    else:
        digests["projection_sha256"] = model_digest(projection)
    model.register_to_config(**digests)
    loader = FrameLoader(
        windows(latents, *window),
        processor,
        data.batch_size,
        shuffle=True,
        seed=arguments.run.seed,
        device=accelerator.device,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    num_steps = Trainer.count_steps(arguments.optimization, loader)
    black = space.encode(torch.full((1, 3, processor.height, processor.height), -1.0))[0]
    objective = FlowMatchingObjective(accelerator, model, arguments, num_steps, black, projection)
    with make_publisher(accelerator, arguments, SmokeFlowTransformer.card_text, objective.describe) as publisher:
        result = Trainer(accelerator, objective, loader, evaluator, arguments, num_steps, publisher.push_best).train()
        if result is not None:
            publisher.finish(result)
            folder = arguments.run.folder / FORECASTER
            forecaster = SmokeFlowTransformer.from_pretrained(result.folder)
            SmokeForecastPipeline(autoencoder, forecaster, processor, projection).save_pretrained(folder)
            for name in (METRICS, TRAINING, ARGUMENTS):
                shutil.copyfile(result.folder / name, folder / name)
            write_card(folder, SmokeForecastPipeline.card_text)
            print(f"The complete forecaster: {folder}")


def load_projection(name: str | None, autoencoder, channels: int):
    """The LatentProjection of this name, or a new one to `channels`; None for a model of all channels."""
    from smoke_vq import LatentProjection
    from smoke_vq.tokens import latents_digest

    all_channels = autoencoder.config.latent_channels
    if name is not None:
        projection = LatentProjection.from_pretrained(name)
        projection.check_autoencoder(autoencoder)
        return projection
    if channels != all_channels:
        return LatentProjection(all_channels, channels, autoencoder_sha256=latents_digest(autoencoder))
    if autoencoder.config.latents_mean is None:
        raise ValueError(
            "All channels of the latents are normalized by the autoencoder's latents_mean and latents_std, which its "
            "config.json does not have: smoke-vq measure-latents adds them."
        )
    return None


def check_latents(config, autoencoder, processor, projection) -> None:
    """Refuse a model of other latents than those that it would be trained on."""
    side = processor.height // autoencoder.downsampling_factor
    channels = autoencoder.config.latent_channels if projection is None else projection.config.projected_channels
    expected, found = (config.in_channels, config.sample_size, config.sample_size), (channels, side, side)
    if found != expected:
        raise ValueError(f"The model expects latents {expected}, found {found}: change model.")


def load_validation(data: DataArguments, processor):
    """The frames of the validation split of all datasets."""
    from smoke_vq.data.sources import load_frames
    from smoke_vq.tokens import is_code_folder

    for source in data.validation_sources:
        if is_code_folder(source):
            raise ValueError(f"{source} holds latents, and validation needs frames: name some as validation_dataset.")
    return load_frames(data.validation_sources, data.validation_split, processor.height, resize=data.resize)


def load_parts(data: DataArguments, autoencoder, processor) -> list:
    """The training split of each dataset: `LatentFrames` of a folder of latents, frames of any other."""
    from smoke_vq.data.sources import load_frames
    from smoke_vq.tokens import is_code_folder, read_latents

    parts, side = [], processor.height // autoencoder.downsampling_factor
    for source in data.sources:
        if not is_code_folder(source):
            parts.append(load_frames(source, data.train_split, processor.height, packed=False, resize=data.resize))
            continue
        parts.append(read_latents(source, data.train_split, autoencoder))
        if parts[-1].size != (side, side):
            raise ValueError(f"{source} holds latents of size {parts[-1].size}: expected {(side, side)}.")
    return parts


def encode_parts(parts: list, autoencoder, processor, mirror: bool, accelerator):
    """The `LatentFrames` of all parts, as the autoencoder returns them."""
    from smoke_vq.tokens import LatentFrames, encode_frames, join_latents

    show = accelerator.is_main_process
    return join_latents(
        [
            part if isinstance(part, LatentFrames) else encode_frames(part, autoencoder, processor, mirror, show)
            for part in parts
        ]
    )


if __name__ == "__main__":
    run(main)
