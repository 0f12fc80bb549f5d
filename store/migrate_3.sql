-- From version 3 to 4: the steps that a measured one represents, start-up, the whole run's numbers. schema.sql follows, then reweigh.c makes
-- the roll-ups again, with weights; of steps whose raw rows are gone from the old ones.
DROP VIEW IF EXISTS run_summary;
DROP VIEW IF EXISTS b_noise;
DROP VIEW IF EXISTS step_total;
ALTER TABLE run ADD COLUMN noise_step INTEGER;
ALTER TABLE run ADD COLUMN b_noise REAL;
ALTER TABLE run ADD COLUMN b_noise_lo REAL;
ALTER TABLE run ADD COLUMN b_noise_hi REAL;
ALTER TABLE run ADD COLUMN resolved INTEGER;
ALTER TABLE run ADD COLUMN b_crit REAL;
ALTER TABLE run ADD COLUMN b_crit_lo REAL;
ALTER TABLE run ADD COLUMN b_crit_hi REAL;
ALTER TABLE rank ADD COLUMN startup_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE step ADD COLUMN weight REAL;
ALTER TABLE step ADD COLUMN startup INTEGER;
ALTER TABLE rollup RENAME TO old_rollup;
ALTER TABLE rollup_param RENAME TO old_rollup_param;
ALTER TABLE rollup_kernel RENAME TO old_rollup_kernel;
