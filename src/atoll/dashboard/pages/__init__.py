"""A module for each page, or for each kind of thing that has pages."""
