"""Training: labelled groups and a base model become a better reranker, the same for any number of workers."""
