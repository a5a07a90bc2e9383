"""Fixtures that every test may ask for by name."""

pytest_plugins = [
    "tests.support.postgres",
    "tests.support.ledgers",
    "tests.support.moto_server",
    "tests.support.stage",
    "tests.support.measured",
]
