"""What the boutique sells."""
