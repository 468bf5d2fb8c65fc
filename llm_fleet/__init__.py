"""One careful LLM client out of many processes."""
