"""The functions in which every pixel is touched, compiled: C sources, what was built of them, and their loader."""
