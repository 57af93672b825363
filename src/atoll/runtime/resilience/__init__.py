"""What protects callers and callees from each other's failures: one file a protection, all pure."""
