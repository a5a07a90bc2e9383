"""Signed checkpoints beside the events that they vouch for, and the texts of AWS's own policies.

Adds two tables, changes none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", "key", name=op.f("pk_checkpoints")),
    )
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
    """Only copies are lost: what was written out elsewhere still proves what it proved.

    And what AWS's policies said then, but for what a pin in the chain can be held against.
    """
    op.drop_table("sources")
    op.drop_table("checkpoints")
