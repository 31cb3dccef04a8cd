"""Train a SmokeVQGAN.

accelerate launch scripts/train_vqgan.py --config configs/config_vqgan.yaml --run-name my_vqgan --batch-size 32
"""

from smoke_vq.script import run
from smoke_vq.training import VQGANArguments, check_arguments, parse_arguments
from smoke_vq.training.recipes.checks import check_autoencoder_training


def main() -> None:
    arguments = parse_arguments(VQGANArguments)
    recipe = arguments.recipe
    check_arguments("PatchDiscriminator", recipe.discriminator, "discriminator")
    check_autoencoder_training("SmokeVQGAN", arguments)
    from smoke_vq import PatchDiscriminator, SmokeImageProcessor, SmokeVQGAN
    from smoke_vq.losses.perceptual import PERCEPTUAL_LOSSES
    from smoke_vq.models.initialization import (
        check_codes_can_start,
        check_crops,
        continue_autoencoder,
        continue_discriminator,
    )
    from smoke_vq.training import (
        Trainer,
        VQGANObjective,
        make_accelerator,
        make_evaluator,
        make_publisher,
        make_train_loader,
    )

    accelerator = make_accelerator(arguments)
    adversarial = recipe.adversarial_weight > 0
    model = trained_discriminator = None
    with accelerator.main_process_first():  # one process downloads the weights
        if recipe.init_from is not None:
            model = continue_autoencoder(SmokeVQGAN, recipe.init_from, recipe.model, recipe.train_only_decoder)
            if adversarial and not recipe.fresh_discriminator:
                trained_discriminator = continue_discriminator(recipe.init_from, recipe.discriminator)
        perceptual = PERCEPTUAL_LOSSES[recipe.perceptual](recipe.perceptual_weights)
    model = model or SmokeVQGAN(**recipe.model)
    discriminator = trained_discriminator
    if adversarial and discriminator is None:
        discriminator = PatchDiscriminator(**{"in_channels": model.config.in_channels} | recipe.discriminator)
    if adversarial and recipe.init_from is not None:
        whose = "new" if trained_discriminator is None else f"that of {recipe.init_from}"
        accelerator.print(f"The discriminator is {whose}.")
    processor = SmokeImageProcessor.for_model(model.config)
    loader = make_train_loader(accelerator, arguments, processor)
    check_crops(model, loader)
    if recipe.init_from is None:
        check_codes_can_start(model, loader, recipe.codebook_init_vectors)
    evaluator = make_evaluator(
        accelerator,
        arguments.data,
        processor,
        arguments.tracking.num_images,
        perceptual,
        num_training_frames=len(loader.frames),
    )
    num_steps = Trainer.count_steps(arguments.optimization, loader)
    objective = VQGANObjective(
        accelerator,
        model,
        discriminator,
        perceptual,
        arguments,
        num_steps,
        discriminator_is_trained=trained_discriminator is not None,
    )
    with make_publisher(accelerator, arguments, SmokeVQGAN.card_text, objective.describe) as publisher:
        result = Trainer(accelerator, objective, loader, evaluator, arguments, num_steps, publisher.push_best).train()
        if result is not None:
            publisher.finish(result)


if __name__ == "__main__":
    run(main)
