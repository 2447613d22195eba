"""First stages, which find candidates for the reranker: BM25, and dense retrieval by an encoder."""
