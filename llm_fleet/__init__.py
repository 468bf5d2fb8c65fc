"""llm_fleet: many processes call LLM providers as if one careful client did it."""
