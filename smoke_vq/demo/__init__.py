"""The page of `smoke-vq demo`: a clip, its codes, which can be changed, codecs at the same size, and a forecast."""
