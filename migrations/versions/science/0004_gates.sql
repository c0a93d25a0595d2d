ALTER TABLE :catalogue.sdqa_metric ADD COLUMN gate TEXT;

ALTER TABLE :catalogue.sdqa_metric ADD CONSTRAINT sdqa_metric_gate_check CHECK (gate IN ('stream', 'release'));

CREATE TABLE :catalogue.sdqa_waiver (
    metric TEXT NOT NULL,
    subject_id BIGINT NOT NULL,
    reason TEXT NOT NULL,
    accepted_by TEXT DEFAULT session_user NOT NULL,
    accepted TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT sdqa_waiver_pkey PRIMARY KEY (metric, subject_id),
    CONSTRAINT sdqa_waiver_metric_fkey FOREIGN KEY(metric) REFERENCES :catalogue.sdqa_metric (metric)
);
