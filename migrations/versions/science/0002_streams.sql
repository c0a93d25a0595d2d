ALTER TABLE :catalogue.exposure ADD COLUMN stamps_file_id BIGINT;

ALTER TABLE :catalogue.outbox ADD COLUMN place BIGINT;

CREATE UNIQUE INDEX outbox_place_idx ON :catalogue.outbox (stream, place);

CREATE TABLE :catalogue.alert_stream (
    name TEXT NOT NULL,
    predicate TEXT NOT NULL,
    target TEXT,
    cursor BIGINT DEFAULT '0' NOT NULL,
    state TEXT DEFAULT 'active' NOT NULL,
    last_error TEXT,
    registered_by TEXT DEFAULT SESSION_USER NOT NULL,
    registered TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT alert_stream_pkey PRIMARY KEY (name),
    CONSTRAINT alert_stream_name_check CHECK (name <> 'full' AND name ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT alert_stream_state_check CHECK (state IN ('active', 'stopped'))
);

