CREATE TABLE hven.function_manifest (
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    minimum_revision TEXT NOT NULL,
    deployed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT function_manifest_pkey PRIMARY KEY (name)
);

CREATE TABLE queue.production (
    production_id BIGINT GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    software_version TEXT NOT NULL,
    software_commit TEXT,
    lock_sha256 TEXT,
    parameters JSONB DEFAULT '{}' NOT NULL,
    weight REAL DEFAULT '1' NOT NULL,
    state TEXT DEFAULT 'running' NOT NULL,
    created TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT production_pkey PRIMARY KEY (production_id),
    CONSTRAINT production_name_key UNIQUE (name),
    CONSTRAINT production_state_check CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
    CONSTRAINT production_weight_check CHECK (weight > 0)
);

CREATE TABLE tap_schema.schemas (
    schema_name TEXT NOT NULL,
    utype TEXT,
    description TEXT,
    schema_index INTEGER,
    CONSTRAINT schemas_pkey PRIMARY KEY (schema_name)
);

CREATE TABLE queue.job (
    job_id BIGINT GENERATED ALWAYS AS IDENTITY,
    production_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    parameters JSONB DEFAULT '{}' NOT NULL,
    state TEXT DEFAULT 'waiting' NOT NULL,
    priority SMALLINT DEFAULT '0' NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE,
    run_after TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    run_by TIMESTAMP WITH TIME ZONE,
    unmet INTEGER DEFAULT '0' NOT NULL,
    attempts SMALLINT DEFAULT '0' NOT NULL,
    max_attempts SMALLINT DEFAULT '5' NOT NULL,
    token BIGINT DEFAULT '0' NOT NULL,
    worker TEXT,
    lease_expires TIMESTAMP WITH TIME ZONE,
    created TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    started TIMESTAMP WITH TIME ZONE,
    finished TIMESTAMP WITH TIME ZONE,
    result JSONB,
    error TEXT,
    CONSTRAINT job_pkey PRIMARY KEY (job_id),
    CONSTRAINT job_production_id_fkey FOREIGN KEY(production_id) REFERENCES queue.production (production_id),
    CONSTRAINT job_state_check CHECK (state IN ('waiting', 'ready', 'running', 'done', 'dead', 'cancelled'))
)
 WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX job_claim_idx ON queue.job (production_id, priority DESC, deadline, job_id) WHERE state = 'ready';

CREATE INDEX job_due_idx ON queue.job (run_after) WHERE state = 'waiting' AND unmet = 0;

CREATE UNIQUE INDEX job_key_idx ON queue.job (production_id, key) WHERE state <> 'cancelled';

CREATE INDEX job_run_by_idx ON queue.job (run_by) WHERE state = 'waiting' AND run_by IS NOT NULL;

CREATE INDEX job_running_idx ON queue.job (lease_expires) WHERE state = 'running';

CREATE TABLE tap_schema.tables (
    schema_name TEXT NOT NULL,
    table_name TEXT NOT NULL,
    table_type TEXT NOT NULL,
    utype TEXT,
    description TEXT,
    table_index INTEGER,
    CONSTRAINT tables_pkey PRIMARY KEY (table_name),
    CONSTRAINT tables_schema_name_fkey FOREIGN KEY(schema_name) REFERENCES tap_schema.schemas (schema_name) ON DELETE CASCADE
);

CREATE TABLE queue.dead_job (
    dead_job_id BIGINT GENERATED ALWAYS AS IDENTITY,
    job_id BIGINT NOT NULL,
    attempt SMALLINT NOT NULL,
    worker TEXT,
    reason TEXT NOT NULL,
    written TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT dead_job_pkey PRIMARY KEY (dead_job_id),
    CONSTRAINT dead_job_job_id_fkey FOREIGN KEY(job_id) REFERENCES queue.job (job_id) ON DELETE CASCADE
);

CREATE INDEX dead_job_job_id_idx ON queue.dead_job (job_id);

CREATE TABLE queue.file (
    file_id BIGINT GENERATED ALWAYS AS IDENTITY,
    sha256 BYTEA NOT NULL,
    size BIGINT NOT NULL,
    media_type TEXT NOT NULL,
    name TEXT,
    job_id BIGINT,
    created TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    verified TIMESTAMP WITH TIME ZONE,
    removed TIMESTAMP WITH TIME ZONE,
    CONSTRAINT file_pkey PRIMARY KEY (file_id),
    CONSTRAINT file_content_check CHECK (octet_length(sha256) = 32 AND size >= 0),
    CONSTRAINT file_job_id_fkey FOREIGN KEY(job_id) REFERENCES queue.job (job_id) ON DELETE SET NULL,
    CONSTRAINT file_sha256_key UNIQUE (sha256)
);

CREATE INDEX file_job_id_idx ON queue.file (job_id);

CREATE TABLE queue.job_dependency (
    job_id BIGINT NOT NULL,
    requires_job_id BIGINT NOT NULL,
    CONSTRAINT job_dependency_pkey PRIMARY KEY (job_id, requires_job_id),
    CONSTRAINT job_dependency_job_id_fkey FOREIGN KEY(job_id) REFERENCES queue.job (job_id) ON DELETE CASCADE,
    CONSTRAINT job_dependency_not_itself_check CHECK (job_id <> requires_job_id),
    CONSTRAINT job_dependency_requires_job_id_fkey FOREIGN KEY(requires_job_id) REFERENCES queue.job (job_id) ON DELETE CASCADE
);

CREATE INDEX job_dependency_requires_job_id_idx ON queue.job_dependency (requires_job_id);

CREATE TABLE queue.provenance (
    provenance_id BIGINT GENERATED ALWAYS AS IDENTITY,
    job_id BIGINT NOT NULL,
    step TEXT NOT NULL,
    product TEXT NOT NULL,
    product_id BIGINT,
    inputs JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT provenance_pkey PRIMARY KEY (provenance_id),
    CONSTRAINT provenance_job_id_fkey FOREIGN KEY(job_id) REFERENCES queue.job (job_id) ON DELETE CASCADE
);

CREATE INDEX provenance_job_id_idx ON queue.provenance (job_id);

CREATE INDEX provenance_product_idx ON queue.provenance (product, product_id);

CREATE TABLE tap_schema.columns (
    table_name TEXT NOT NULL,
    column_name TEXT NOT NULL,
    datatype TEXT NOT NULL,
    arraysize TEXT,
    xtype TEXT,
    description TEXT,
    utype TEXT,
    unit TEXT,
    ucd TEXT,
    indexed INTEGER NOT NULL,
    principal INTEGER NOT NULL,
    std INTEGER NOT NULL,
    column_index INTEGER,
    ldm TEXT,
    CONSTRAINT columns_pkey PRIMARY KEY (table_name, column_name),
    CONSTRAINT columns_table_name_fkey FOREIGN KEY(table_name) REFERENCES tap_schema.tables (table_name) ON DELETE CASCADE
);

CREATE TABLE tap_schema.keys (
    key_id TEXT NOT NULL,
    from_table TEXT NOT NULL,
    target_table TEXT NOT NULL,
    description TEXT,
    utype TEXT,
    CONSTRAINT keys_pkey PRIMARY KEY (key_id),
    CONSTRAINT keys_from_table_fkey FOREIGN KEY(from_table) REFERENCES tap_schema.tables (table_name) ON DELETE CASCADE,
    CONSTRAINT keys_target_table_fkey FOREIGN KEY(target_table) REFERENCES tap_schema.tables (table_name) ON DELETE CASCADE
);

CREATE TABLE queue.provenance_file (
    provenance_id BIGINT NOT NULL,
    file_id BIGINT NOT NULL,
    role TEXT NOT NULL,
    CONSTRAINT provenance_file_pkey PRIMARY KEY (provenance_id, file_id, role),
    CONSTRAINT provenance_file_file_id_fkey FOREIGN KEY(file_id) REFERENCES queue.file (file_id),
    CONSTRAINT provenance_file_provenance_id_fkey FOREIGN KEY(provenance_id) REFERENCES queue.provenance (provenance_id) ON DELETE CASCADE
);

CREATE INDEX provenance_file_file_id_idx ON queue.provenance_file (file_id);

CREATE TABLE tap_schema.key_columns (
    key_id TEXT NOT NULL,
    from_column TEXT NOT NULL,
    target_column TEXT NOT NULL,
    CONSTRAINT key_columns_pkey PRIMARY KEY (key_id, from_column),
    CONSTRAINT key_columns_key_id_fkey FOREIGN KEY(key_id) REFERENCES tap_schema.keys (key_id) ON DELETE CASCADE
);
