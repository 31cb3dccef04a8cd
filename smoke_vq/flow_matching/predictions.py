"""What the output of a network means, in flow matching."""

# The expectation of the next frames from the output o, (B, F, C, h, w).
PREDICTION_TYPES = {
    "frame": lambda o, coupling, x, previous, t: o,
    "difference": lambda o, coupling, x, previous, t: o + previous,
    "velocity": lambda o, coupling, x, previous, t: coupling.frame(x, o, previous, t),
}
