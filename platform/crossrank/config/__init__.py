"""Settings as dataclasses, from flags and YAML, with sentences for what is mistyped."""
