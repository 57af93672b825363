"""One machine: engines and services, started, watched and ended."""
