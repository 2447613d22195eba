"""Rules that find what is wrong with a translation, each in its file."""
