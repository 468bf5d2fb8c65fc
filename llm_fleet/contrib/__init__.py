"""llm_fleet inside other people's workers. Each module needs what it is named after."""
