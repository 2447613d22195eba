"""Application that the files beside this one deploy: ``import_path: serve.app:build`` from the repository's root."""

from crossrank.serving.on_ray.start import build

__all__ = ["build"]
