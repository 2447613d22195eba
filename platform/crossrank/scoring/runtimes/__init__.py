"""What computes the logits: `registry.RUNTIMES` is the table, `runtime.Runtime` what a row of it has to be."""
