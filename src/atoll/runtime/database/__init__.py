"""A service's own PostgreSQL database."""
