"""The parts of scripts/compare_quantizers.py."""
