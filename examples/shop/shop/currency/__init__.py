"""What an amount is in another currency."""
