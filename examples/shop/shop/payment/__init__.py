"""Who has paid what."""
