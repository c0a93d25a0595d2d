ALTER TABLE :catalogue.order_log ADD COLUMN detectors SMALLINT[] DEFAULT '{}' NOT NULL;
