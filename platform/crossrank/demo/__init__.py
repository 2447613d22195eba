"""`crossrank demo`: the real job on a sample that ships with the package."""
