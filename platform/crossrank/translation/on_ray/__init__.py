"""Translators in Ray actors: services that are asked, models that compute."""
