"""What every job shares: an output folder with a lock, a manifest, parts, and a way to go on after a kill."""
