"""Filters of translations: one rule a file, each with its reason code; what they find becomes flags on documents."""
