"""What is sent to an engine: prompts of exact token length."""
