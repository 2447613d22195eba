"""Online serving: one server that every reranker client already speaks to.

dialects (what clients send and read) -> request (what is wanted, apart from any dialect)
        -> admission (refuse early, honestly) -> encode (token ids, what was cut) -> queue (fair, by tokens) -> engine
app puts HTTP around it, and on_ray/ replicas around that.
"""
