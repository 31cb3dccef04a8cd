"""The page of `smoke-vq demo`: a clip, its codes, which can be changed, image codecs beside them, and a forecast."""
