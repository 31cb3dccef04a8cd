"""Publishing: model cards, and what belongs beside the weights."""
