"""Train a LatentProjection, which starts as the principal components of a trained autoencoder's latents.

accelerate launch scripts/train_latent_projection.py --config configs/config_latent_projection.yaml --run-name four
"""

import copy
from functools import partial

from smoke_vq.model_config import AUTOENCODERS, check_model, frame_size
from smoke_vq.script import run
from smoke_vq.training import LatentProjectionArguments, check_arguments, parse_arguments


def main() -> None:
    arguments = parse_arguments(LatentProjectionArguments)
    recipe = arguments.recipe
    check_arguments("LatentProjection", recipe.model, "model")
    check_model(recipe.autoencoder, AUTOENCODERS)
    arguments.check_data(frame_size(recipe.autoencoder))
    from smoke_vq import LatentProjection, SmokeImageProcessor
    from smoke_vq.evaluation.projection_evaluator import ProjectionEvaluator
    from smoke_vq.models.auto import AutoAutoencoder
    from smoke_vq.tokens import latents_digest, principal_components
    from smoke_vq.training import (
        LatentProjectionObjective,
        Trainer,
        make_accelerator,
        make_evaluator,
        make_publisher,
        make_train_loader,
    )
    from smoke_vq.training.recipes.autoencoder import STATISTICS_FRAMES

    accelerator = make_accelerator(arguments)
    with accelerator.main_process_first():  # one process downloads the autoencoder
        autoencoder = AutoAutoencoder.from_pretrained(recipe.autoencoder)
        processor = SmokeImageProcessor.from_pretrained(recipe.autoencoder)
    autoencoder.to(accelerator.device).requires_grad_(False)
    autoencoder.checks_pixels = False  # the processor makes them: a step need not wait for their values
    facts = {"latent_channels": autoencoder.config.latent_channels, "autoencoder_sha256": latents_digest(autoencoder)}
    for key, value in facts.items():
        if recipe.model.get(key, value) != value:
            raise ValueError(f"model.{key} is {recipe.model[key]!r}, but {recipe.autoencoder} has {value!r}.")
    recipe.model = facts | recipe.model
    model = LatentProjection(**recipe.model).to(accelerator.device)
    loader = make_train_loader(accelerator, arguments, processor)
    num_steps = Trainer.count_steps(arguments.optimization, loader)
    build = partial(ProjectionEvaluator, autoencoder=autoencoder, start=copy.deepcopy(model).eval())
    evaluator = make_evaluator(accelerator, arguments.data, processor, arguments.tracking.num_images, build=build)
    batches = loader.in_order(STATISTICS_FRAMES).epoch(0)  # nothing is encoded before everything is checked
    components = principal_components(
        (autoencoder.encode(batch["pixel_values"]).latents for batch in batches), accelerator
    )
    for projection in (model, evaluator.start):
        projection.set_principal_components(components)
    start = evaluator.validate(evaluator.start)
    explained = float(components.explained[model.config.projected_channels - 1])
    accelerator.print(
        f"Principal components: {explained:.4%} of the variance, codes unchanged {start['codes_unchanged']:.4f}, "
        f"masked MSE {start['masked_mse']:.5f}"
    )
    variance = float(components.variances.mean())
    objective = LatentProjectionObjective(accelerator, model, autoencoder, arguments, num_steps, variance, start)
    with make_publisher(accelerator, arguments, LatentProjection.card_text, objective.describe) as publisher:
        result = Trainer(accelerator, objective, loader, evaluator, arguments, num_steps, publisher.push_best).train()
        if result is not None:
            publisher.finish(result)


if __name__ == "__main__":
    run(main)
