"""Commands that look at a fleet, and switch its keys, through Redis alone: they never join it."""
