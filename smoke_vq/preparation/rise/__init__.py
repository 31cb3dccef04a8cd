"""RISE clips, or any videos of a static camera, as a dataset folder."""
