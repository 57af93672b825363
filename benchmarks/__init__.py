"""Every figure that atoll's documents name, with its peers in the same run."""
