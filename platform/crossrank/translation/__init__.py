"""Groups in another language: what is translated, what it costs, what of it can be used."""
