"""What one stroke does: does it fill its thing, does all else stay, and how many strokes does a thing need."""
