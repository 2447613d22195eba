"""From labelled groups and a base model to a better reranker, the same for any number of workers."""
