"""The frame that all jobs share: an output folder with a lock, a manifest, parts, and a way to go on after a kill."""
