"""Sums of fluxes and kept light curves are written by functions that take fewer arrays."""

from alembic import op

from migrations import script

revision = "science_0010"
down_revision = "science_0009"
branch_labels = None
depends_on = None

GONE = (
    "association_sum_fluxes(bigint, bigint, float8, bigint[], smallint[], real[])",
    "association_variability(bigint[], bigint[], float8[], real[], real[], real[], integer[])",
)


def upgrade():
    if script.layout().kind == "level1":
        for signature in GONE:
            op.execute(f"DROP FUNCTION IF EXISTS hven.{signature}")


def downgrade():
    """Deployment puts the functions of the older revision back."""
