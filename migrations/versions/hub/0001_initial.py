"""Databases, releases, sites, calibration products and the hub's own queue."""

from alembic import op

from migrations import script

revision = "hub_0001"
down_revision = None
branch_labels = ("hub",)
depends_on = None

SCHEMAS = ("hub", "queue", "tap_schema")


def upgrade():
    for schema in SCHEMAS:
        op.execute(f"CREATE SCHEMA {schema}")
    script.run("0001_shared", "hub/0001_hub")


def downgrade():
    for schema in SCHEMAS:
        op.execute(f"DROP SCHEMA {schema} CASCADE")
    op.execute("DROP TABLE hven.function_manifest")
