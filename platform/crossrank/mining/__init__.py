"""`crossrank mine`: hard negatives for labelled groups, from a corpus."""
