"""The texts of AWS's own policies as the worker read them. Adds a table, changes none."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("arn", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("arn", "version", name=op.f("pk_sources")),
    )


def downgrade() -> None:
    """What AWS's policies said then is lost, but for what a pin in the chain vouches for."""
    op.drop_table("sources")
