"""Train a SmokeVQVAE.

accelerate launch scripts/train_vqvae.py --config configs/config_vqvae.yaml --run-name my_vqvae --batch-size 64
"""

from smoke_vq.script import run
from smoke_vq.training import VQVAEArguments, parse_arguments
from smoke_vq.training.recipes.checks import check_autoencoder_training


def main() -> None:
    arguments = parse_arguments(VQVAEArguments)
    recipe = arguments.recipe
    check_autoencoder_training("SmokeVQVAE", arguments)
    from smoke_vq import SmokeImageProcessor, SmokeVQVAE
    from smoke_vq.models.initialization import check_codes_can_start, check_crops, continue_autoencoder
    from smoke_vq.training import (
        Trainer,
        VQVAEObjective,
        make_accelerator,
        make_evaluator,
        make_publisher,
        make_train_loader,
    )

    accelerator = make_accelerator(arguments)
    if recipe.init_from is None:
        model = SmokeVQVAE(**recipe.model)
    else:
        with accelerator.main_process_first():  # one process downloads the model
            model = continue_autoencoder(SmokeVQVAE, recipe.init_from, recipe.model)
    processor = SmokeImageProcessor.for_model(model.config)
    loader = make_train_loader(accelerator, arguments, processor)
    check_crops(model, loader)
    if recipe.init_from is None:
        check_codes_can_start(model, loader, recipe.codebook_init_vectors)
    evaluator = make_evaluator(
        accelerator, arguments.data, processor, arguments.tracking.num_images, num_training_frames=len(loader.frames)
    )
    num_steps = Trainer.count_steps(arguments.optimization, loader)
    objective = VQVAEObjective(accelerator, model, arguments, num_steps)
    with make_publisher(accelerator, arguments, SmokeVQVAE.card_text, objective.describe) as publisher:
        result = Trainer(accelerator, objective, loader, evaluator, arguments, num_steps, publisher.push_best).train()
        if result is not None:
            publisher.finish(result)


if __name__ == "__main__":
    run(main)
