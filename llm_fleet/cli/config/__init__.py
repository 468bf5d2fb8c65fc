"""`llm-fleet config`: whether a config works, and what it comes to."""
