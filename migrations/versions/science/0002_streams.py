"""Places in streams of Alerts, filtered streams, and where the stamps of an Exposure lie."""

from alembic import op

from migrations import script

revision = "science_0002"
down_revision = "science_0001"
branch_labels = None
depends_on = None


def upgrade():
    script.run("science/0002_streams")


def downgrade():
    catalogue = script.layout().catalogue
    op.execute(f"DROP VIEW IF EXISTS {catalogue}.alert_wide")
    op.execute(f"DROP TABLE {catalogue}.alert_stream")
    op.execute(f"ALTER TABLE {catalogue}.outbox DROP COLUMN place")
    op.execute(f"ALTER TABLE {catalogue}.exposure DROP COLUMN stamps_file_id")
