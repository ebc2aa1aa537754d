"""What weights are worth: measured through the engine that serves them, beside rulers that need no network."""
