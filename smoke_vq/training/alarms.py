"""What is worth interrupting a person for, judged on a whole validation and never on one batch."""

from ..metrics import expected_usage

COLLAPSED_USAGE = 0.1  # of the usage that uniform use would show on as many tokens
COLLAPSED_DIVERSITY = 0.05  # of the variance over frames that the targets have


def alarms(metrics: dict[str, float], num_codes: int) -> list[str]:
    """Sentences about what went wrong, each with what to try; an empty list when nothing did."""
    sentences = []
    expected = expected_usage(num_codes, metrics["num_tokens"]) * num_codes
    if metrics["num_codes_used"] < COLLAPSED_USAGE * expected:
        sentences.append(
            f"The codebook has collapsed: {metrics['num_codes_used']} of {num_codes} codes serve "
            f"{metrics['num_tokens']} tokens (uniform use would show {expected:.0f}). "
            f"Try --codebook-init-vectors 32768, --revive-every 50, a lower --lr."
        )
    if metrics["diversity"] < COLLAPSED_DIVERSITY:
        sentences.append(
            f"The outputs look alike: they vary {metrics['diversity']:.3f} times as much over frames as the inputs. "
            f"Try a lower --lr, a longer --warmup-steps, a lower --background-weight."
        )
    return sentences
