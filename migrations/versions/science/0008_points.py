"""Light curves kept with an Object's statistics, and no function that reads the history instead."""

from alembic import op

from migrations import script

revision = "science_0008"
down_revision = "science_0007"
branch_labels = None
depends_on = None

GONE = (
    "light_curves(bigint[])",
    "association_sum_fluxes(bigint, bigint, float8, bigint[], smallint[], real[], bigint[], real[], integer[])",
)


def upgrade():
    variability = f"{script.layout().catalogue}.object_variability"
    op.execute(f"ALTER TABLE {variability} ADD COLUMN points BYTEA")
    if script.layout().kind == "level1":
        op.execute(f"ALTER TABLE {variability} SET (fillfactor = 80)")
    for signature in GONE:
        op.execute(f"DROP FUNCTION IF EXISTS hven.{signature}")


def downgrade():
    variability = f"{script.layout().catalogue}.object_variability"
    op.execute(f"ALTER TABLE {variability} DROP COLUMN points")
    op.execute(f"ALTER TABLE {variability} RESET (fillfactor)")
