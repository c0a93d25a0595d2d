"""Visits by night, and those that are not associated yet: each association asks for these."""

from alembic import op

from migrations import script

revision = "science_0007"
down_revision = "science_0006"
branch_labels = None
depends_on = None


def upgrade():
    visit = f"{script.layout().catalogue}.visit"
    op.execute(f"CREATE INDEX visit_night_idx ON {visit} (night)")
    op.execute(f"CREATE INDEX visit_open_idx ON {visit} (visit_id) WHERE state IN ('arriving', 'ready')")


def downgrade():
    for name in ("visit_night_idx", "visit_open_idx"):
        op.execute(f"DROP INDEX {script.layout().catalogue}.{name}")
