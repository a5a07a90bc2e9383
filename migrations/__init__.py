"""The schema's history, carried out by alembic."""
