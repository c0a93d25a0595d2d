"""Reference stars of imported catalogues."""

from alembic import op

from migrations import script

revision = "science_0005"
down_revision = "science_0004"
branch_labels = None
depends_on = None


def upgrade():
    script.run("science/0005_refcat")


def downgrade():
    op.execute(f"DROP TABLE {script.layout().catalogue}.refcat")
