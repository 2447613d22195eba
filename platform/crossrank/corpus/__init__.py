"""Texts by id, converted once a node and mapped into the memory of every process there."""
