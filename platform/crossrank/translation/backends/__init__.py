"""Who translates: one file a back-end."""
