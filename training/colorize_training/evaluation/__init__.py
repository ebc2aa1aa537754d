"""What weights are worth: measured through the engine that serves them, beside baselines that need no network."""
