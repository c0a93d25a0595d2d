"""Quality gates as data, and who let what pass."""

from alembic import op

from migrations import script

revision = "science_0004"
down_revision = "science_0002"
branch_labels = None
depends_on = None


def upgrade():
    script.run("science/0004_gates")


def downgrade():
    op.execute(f"DROP TABLE {script.layout().catalogue}.sdqa_waiver")
    op.execute(f"ALTER TABLE {script.layout().catalogue}.sdqa_metric DROP COLUMN gate")
