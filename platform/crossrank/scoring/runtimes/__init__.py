"""Runtimes, which compute the logits: `registry.RUNTIMES` is the table, `runtime.Runtime` the interface of a row."""
