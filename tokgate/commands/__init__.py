"""The commands of `tokgate`, one module each: `add` declares its arguments, `run` returns the exit status."""
