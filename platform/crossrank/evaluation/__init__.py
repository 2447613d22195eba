"""Evaluation: how good a ranking is, and how sure one may be of it."""
