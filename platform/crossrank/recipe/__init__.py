"""The whole chain from one file: which stages, in which order, and what each takes from the one before."""
