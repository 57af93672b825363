"""The pages of the boutique: a Starlette application, made by `create` from the services it asks."""

from .app import create

__all__ = ["create"]
