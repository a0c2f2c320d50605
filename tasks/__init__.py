"""One Prefect task a step kind, with its name and retries; `tasks.by_kind` has them all, and their tags.

`tasks.mechanism` is what every task does: look its step up in the store, else have it made.
"""
