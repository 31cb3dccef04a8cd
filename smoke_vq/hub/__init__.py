"""The Hub: verified downloads, cards with their provenance, pushes in one commit."""
