"""The functions that write a pass read its DiaSources fewer times, and take other arguments."""

from alembic import op

from migrations import script

revision = "science_0011"
down_revision = "science_0010"
branch_labels = None
depends_on = None

GONE = (
    "association_new_fluxes(bigint, bigint, float8, bigint[])",
    "association_new_objects(bigint, bigint, float8, bigint[])",
    "association_sum_positions(bigint, bigint, float8, bigint[])",
    "association_close(bigint, bigint, bigint, float8, bigint[])",
)


def upgrade():
    if script.layout().kind == "level1":
        for signature in GONE:
            op.execute(f"DROP FUNCTION IF EXISTS hven.{signature}")


def downgrade():
    """Deployment puts the functions of the older revision back."""
