"""`llm-fleet demo`: a whole fleet on one machine, one of its processes killed."""
