"""Order and concurrency: what runs after what, and the command line that starts it."""
