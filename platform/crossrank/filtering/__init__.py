"""Filters of translations: rules, each with its reason code, whose findings become flags on documents."""
