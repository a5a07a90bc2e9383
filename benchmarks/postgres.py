"""A server for measuring: durable and with memory, as one in production is."""

PRODUCTION = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
}
"""Settings for `tests.support.postgres.started`, whose own are for speed. Where there is much
memory its files lie there, so that a commit waits for no disk: compare ratios."""
