"""How things get to whom they belong."""
