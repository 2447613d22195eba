"""The command line: a command for each verb, its help, and what `crossrank status` says."""
