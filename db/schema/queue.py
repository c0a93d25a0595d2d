"""Productions, jobs, files and provenance: who made what from what. Never frozen."""

from sqlalchemy import (
    REAL,
    BigInteger,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from db.columns import NOW, check, column, key, link, one_of, table

WHEN = TIMESTAMP(timezone=True)
BUSY = {"autovacuum_vacuum_scale_factor": 0.02, "autovacuum_analyze_scale_factor": 0.05, "autovacuum_vacuum_cost_delay": 0}
"""Each job leaves two dead rows behind: vacuumed soon and without pause, their room is used again."""


def serial(name: str, doc: str):
    """Return a primary key that counts."""
    return column(name, BigInteger, Identity(always=True), unit="", ucd="meta.id;meta.main", primary_key=True, doc=doc)


def when(name: str, doc: str, **options):
    """Return a time of operation, UTC."""
    return column(name, WHEN, unit="", ucd="time.processing", doc=doc, **options)


production = table(
    "production", "queue",
    serial("production_id", "Number of the production"),
    column("kind", Text, unit="", ucd="meta.code.class", nullable=False, doc="alert, release, calibration, demo or user"),
    column("name", Text, unit="", ucd="meta.id", nullable=False, unique=True, doc="Name, such as night-2017-12-19"),
    column("software_version", Text, unit="", ucd="meta.version;meta.software", nullable=False, doc="Version of Hven"),
    column("software_commit", Text, unit="", ucd="meta.version;meta.software", doc="Commit of Hven"),
    column("lock_sha256", Text, unit="", ucd="meta.checksum", doc="Checksum of the lock file of dependencies"),
    column("parameters", JSONB, unit="", ucd="meta.note", nullable=False, server_default=text("'{}'"), doc="Parameters of every step"),
    column("weight", REAL, unit="", ucd="stat.weight", nullable=False, server_default="1", doc="Share of the workers among productions"),
    column("state", Text, unit="", ucd="meta.code.status", nullable=False, server_default="running", doc="running, paused, done or cancelled"),
    when("created", "When it began", nullable=False, server_default=NOW),
    one_of("state", "running", "paused", "done", "cancelled"),
    check("weight", "weight > 0", doc="weight is positive"),
    doc="Productions: coordinated groups of pipelines with one software version and one set of parameters",
)

job = table(
    "job", "queue",
    serial("job_id", "Number of the job"),
    link("production_id", ForeignKey("queue.production.production_id"), nullable=False, doc="The production"),
    column("kind", Text, unit="", ucd="meta.code.class", nullable=False, doc="What is to be done"),
    column("key", Text, unit="", ucd="meta.id", nullable=False, doc="Names the work; one live job a key and production"),
    column("parameters", JSONB, unit="", ucd="meta.note", nullable=False, server_default=text("'{}'"), doc="What the job works on"),
    column("state", Text, unit="", ucd="meta.code.status", nullable=False, server_default="waiting",
           doc="waiting (for other jobs or for run_after), ready, running, done, dead or cancelled"),
    column("priority", SmallInteger, unit="", ucd="meta.code", nullable=False, server_default="0", doc="Highest first"),
    when("deadline", "When the result loses its worth"),
    when("run_after", "Not to be started before", nullable=False, server_default=NOW),
    when("run_by", "When it is started even if jobs that it waits for are not done; NULL = never"),
    column("unmet", Integer, unit="", ucd="meta.number", nullable=False, server_default="0", doc="Jobs that must be done first and are not"),
    column("attempts", SmallInteger, unit="", ucd="meta.number", nullable=False, server_default="0", doc="Attempts so far"),
    column("max_attempts", SmallInteger, unit="", ucd="meta.number", nullable=False, server_default="5", doc="Dead after so many"),
    column("token", BigInteger, unit="", ucd="meta.id", nullable=False, server_default="0",
           doc="Fencing token: grows with each claim; a write under an older one is refused"),
    column("worker", Text, unit="", ucd="meta.id", doc="Who runs it"),
    when("lease_expires", "When another worker may take it"),
    when("created", "When it was made", nullable=False, server_default=NOW),
    when("started", "When the last attempt began"),
    when("finished", "When it ended"),
    column("result", JSONB, unit="", ucd="meta.note", doc="What it returned: counts, digests, measurements"),
    column("error", Text, unit="", ucd="meta.note", doc="Traceback or reason of the last failure"),
    one_of("state", "waiting", "ready", "running", "done", "dead", "cancelled"),
    Index("job_claim_idx", "production_id", text("priority DESC"), "deadline", "job_id", postgresql_where=text("state = 'ready'")),
    Index("job_due_idx", "run_after", postgresql_where=text("state = 'waiting' AND unmet = 0")),
    Index("job_run_by_idx", "run_by", postgresql_where=text("state = 'waiting' AND run_by IS NOT NULL")),
    Index("job_running_idx", "lease_expires", postgresql_where=text("state = 'running'")),
    Index("job_key_idx", "production_id", "key", unique=True, postgresql_where=text("state <> 'cancelled'")),
    doc="Jobs: the work that the database hands out",
    fillfactor={"*": 80},
    storage=BUSY,
)

job_dependency = table(
    "job_dependency", "queue",
    key("job_id", ForeignKey("queue.job.job_id", ondelete="CASCADE"), ucd="meta.id.parent", doc="The job that waits"),
    key("requires_job_id", ForeignKey("queue.job.job_id", ondelete="CASCADE"), ucd="meta.id.assoc", doc="The job that must be done first"),
    PrimaryKeyConstraint("job_id", "requires_job_id"),
    check("not_itself", "job_id <> requires_job_id", doc="No job waits for itself"),
    Index("job_dependency_requires_job_id_idx", "requires_job_id"),
    doc="Which job waits for which",
)

dead_job = table(
    "dead_job", "queue",
    serial("dead_job_id", "Order of death"),
    link("job_id", ForeignKey("queue.job.job_id", ondelete="CASCADE"), nullable=False, doc="The job"),
    column("attempt", SmallInteger, unit="", ucd="meta.number", nullable=False, doc="The attempt that failed"),
    column("worker", Text, unit="", ucd="meta.id", doc="Who ran it"),
    column("reason", Text, unit="", ucd="meta.note", nullable=False, doc="Traceback, signal, or limit that was passed"),
    when("written", "When", nullable=False, server_default=NOW),
    Index("dead_job_job_id_idx", "job_id"),
    doc="Failed attempts with their reasons",
)

file_ = table(
    "file", "queue",
    serial("file_id", "Number of the file in this database"),
    column("sha256", LargeBinary, unit="", ucd="meta.checksum;meta.file", nullable=False, unique=True, doc="Checksum of the content, by which it is stored"),
    column("size", BigInteger, unit="byte", ucd="phys.size;meta.file", nullable=False, doc="Length"),
    column("media_type", Text, unit="", ucd="meta.code.mime", nullable=False, doc="Media type, such as image/fits"),
    column("name", Text, unit="", ucd="meta.id;meta.file", doc="Name that it came with"),
    link("job_id", ForeignKey("queue.job.job_id", ondelete="SET NULL"), doc="The job that wrote it; NULL for raw files", ucd="meta.id"),
    when("created", "When it was stored", nullable=False, server_default=NOW),
    when("verified", "When its content was last checked"),
    when("removed", "When its content was deleted because it can be recreated"),
    check("content", "octet_length(sha256) = 32 AND size >= 0", doc="sha256 has 32 bytes, and size is not negative"),
    Index("file_job_id_idx", "job_id"),
    doc="Files that this database's jobs made or refer to",
)

provenance = table(
    "provenance", "queue",
    serial("provenance_id", "Order of writing"),
    link("job_id", ForeignKey("queue.job.job_id", ondelete="CASCADE"), nullable=False, doc="The job that made the product"),
    column("step", Text, unit="", ucd="meta.id;meta.software", nullable=False, doc="The step of the production"),
    column("product", Text, unit="", ucd="meta.id;meta.table", nullable=False, doc="Table of the rows that it made, or file"),
    link("product_id", doc="exposure_id, file_id or other key of the product; NULL = all rows of the job's Visit or tile"),
    column("inputs", JSONB, unit="", ucd="meta.note", nullable=False, server_default=text("'{}'"), doc="Keys of input rows, by table"),
    Index("provenance_product_idx", "product", "product_id"),
    Index("provenance_job_id_idx", "job_id"),
    doc="Which job made which product by which step",
)

provenance_file = table(
    "provenance_file", "queue",
    key("provenance_id", ForeignKey("queue.provenance.provenance_id", ondelete="CASCADE"), ucd="meta.id.parent", doc="The record"),
    key("file_id", ForeignKey("queue.file.file_id"), ucd="meta.id;meta.file", doc="A file that was read"),
    column("role", Text, unit="", ucd="meta.code.class", nullable=False, doc="raw, bias, dark, flat, template and so on"),
    PrimaryKeyConstraint("provenance_id", "file_id", "role"),
    Index("provenance_file_file_id_idx", "file_id"),
    doc="Files that went into a product",
)
