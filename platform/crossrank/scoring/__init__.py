"""Scoring of documents for queries: load a model, tokenise, forward, score, rank."""
