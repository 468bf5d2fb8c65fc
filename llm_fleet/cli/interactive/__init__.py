"""`llm-fleet interactive`: a person at a prompt, as one more process of the fleet."""
