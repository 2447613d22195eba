"""Training on a Ray cluster: the ranks, the validations beside them, and a measurement beforehand."""
