"""First stage and mining: what finds candidates for the reranker."""
