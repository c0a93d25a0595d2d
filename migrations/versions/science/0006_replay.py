"""Alerts that were found only when a night was replayed after a Data Release."""

from alembic import op

from migrations import script

revision = "science_0006"
down_revision = "science_0005"
branch_labels = None
depends_on = None


def upgrade():
    script.run("science/0006_replay")


def downgrade():
    op.execute(f"ALTER TABLE {script.layout().catalogue}.alert DROP COLUMN is_replayed")
