"""From query and document to score: load a model, tokenise, forward, score, rank."""
