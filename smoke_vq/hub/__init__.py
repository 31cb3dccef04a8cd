"""Publishing: cards with their provenance, and pushes in one commit."""
