"""Blocks of work on a pool of Ray's workers."""
