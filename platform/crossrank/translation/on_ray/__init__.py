"""Translators in Ray actors: clients of services, and models."""
