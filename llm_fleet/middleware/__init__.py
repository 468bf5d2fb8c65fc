"""One policy per file, one shape: `async (call, call_next) -> Response`."""
