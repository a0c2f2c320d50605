"""One Prefect task a step kind, with its name, tags and retries; `tasks.mechanism` is what they all do."""
