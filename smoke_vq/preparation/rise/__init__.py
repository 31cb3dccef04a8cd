"""RISE (Hsu et al., 2021, arXiv:2005.06111), or any folder of videos, as a dataset folder."""
