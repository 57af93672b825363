"""Takes what processes tell of themselves, and keeps it to be looked at."""
