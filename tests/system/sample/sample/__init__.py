"""A small system for tests of what runs systems."""
