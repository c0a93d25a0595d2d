"""The schema of LDM-151."""

from alembic import op

from migrations import script

revision = "science_0001"
down_revision = None
branch_labels = ("science",)
depends_on = None

SCHEMAS = ("staging", "queue", "efd", "tap_schema")


def upgrade():
    layout = script.layout()
    for schema in (layout.catalogue, *SCHEMAS):
        op.execute(f"CREATE SCHEMA {schema}")
    script.run("0001_shared", f"science/0001_{layout.plan.name}", "science/0001_catalogue")
    if layout.plan.name == "release":
        script.run("science/0001_release_partitions")


def downgrade():
    for schema in (script.layout().catalogue, *SCHEMAS):
        op.execute(f"DROP SCHEMA {schema} CASCADE")
    op.execute("DROP TABLE hven.function_manifest")
