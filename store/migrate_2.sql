-- From version 2 to 3: what a kernel on a device is. Its tables are new ones, and schema.sql follows.
ALTER TABLE kernel ADD COLUMN registers INTEGER;
ALTER TABLE kernel ADD COLUMN block INTEGER;
ALTER TABLE kernel ADD COLUMN grid INTEGER;
ALTER TABLE kernel ADD COLUMN shared INTEGER;
ALTER TABLE param ADD COLUMN bucket INTEGER NOT NULL DEFAULT 0;
