"""Whether a training fits a quantizer."""

from collections.abc import Iterable

from .base import Quantizer


def check_enough_latents(quantizer: Quantizer, num_latents: int) -> None:
    """Refuse fewer latents than there are learned codes, which k-means could not place.

    Raises:
        ValueError: says how many latents and codes there are.
    """
    parts = [part for part in quantizer.modules() if isinstance(part, Quantizer)]
    if num_latents < quantizer.num_codes and any(part.codebook is not None for part in parts):
        raise ValueError(
            f"The training data give {num_latents} latents for {quantizer.num_codes} codes: use more frames, fewer "
            f"codes, or codebook_init_vectors 0."
        )


def check_loss_names(quantizer: Quantizer, names: Iterable[str]) -> None:
    """Refuse weights of losses that the quantizer does not have.

    Raises:
        ValueError: shows an unknown name, and those that it has.
    """
    known = list(quantizer.default_loss_weights)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"quantizer_loss_weights has {unknown[0]!r}, which is not a loss of {type(quantizer).__name__}: "
            f"expected some of {known}."
        )
