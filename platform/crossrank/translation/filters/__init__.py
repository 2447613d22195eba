"""What of a translation can be used: one rule a reason."""
