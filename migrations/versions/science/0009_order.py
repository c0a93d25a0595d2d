"""Which detectors each association took in, so that another site can follow."""

from alembic import op

from migrations import script

revision = "science_0009"
down_revision = "science_0008"
branch_labels = None
depends_on = None


def upgrade():
    script.run("science/0009_order")


def downgrade():
    op.execute(f"ALTER TABLE {script.layout().catalogue}.order_log DROP COLUMN detectors")
