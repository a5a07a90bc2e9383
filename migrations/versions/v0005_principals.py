"""AWS's own id of the principal that a grant was written to. Adds a column, changes no row.

What was recorded before named none: there the column stays empty, as a rebuild leaves it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("grants", sa.Column("principal_id", TEXT, nullable=True))


def downgrade() -> None:
    """A principal made anew is not told from the old one any more; a rebuild fills it again."""
    op.drop_column("grants", "principal_id")
