"""Reranking inside a pipeline of Ray Data that somebody else wrote."""
