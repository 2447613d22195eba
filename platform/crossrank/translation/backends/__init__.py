"""Back-ends, which translate: Amazon Translate, and sequence-to-sequence models."""
