"""One rule a file: what is wrong with a translation."""
