-- From version 1 to 2: runs of streams, what the training is set to, why a weight is left out. schema.sql follows it.
-- The uniqueness of a session's key is part of its table, so the table is made anew; views that name it go first.
DROP VIEW IF EXISTS run_summary;
DROP VIEW IF EXISTS b_noise;
DROP VIEW IF EXISTS step_total;
CREATE TABLE run_2 (
	run_id       INTEGER PRIMARY KEY,
	session_key  INTEGER NOT NULL,
	name         TEXT NOT NULL,
	command      TEXT,
	cwd          TEXT,
	host         TEXT,
	version      TEXT,
	start_ns     INTEGER NOT NULL,
	end_ns       INTEGER,
	status       TEXT NOT NULL DEFAULT 'running',
	exit_code    INTEGER,
	optimizer    TEXT,
	lr           REAL,
	rolled_step  INTEGER NOT NULL DEFAULT 0,
	thinned_step INTEGER NOT NULL DEFAULT 0,
	stream       INTEGER NOT NULL DEFAULT 0,
	main_run_id  INTEGER,
	UNIQUE (session_key, stream)
);
INSERT INTO run_2(run_id,session_key,name,command,cwd,host,version,start_ns,end_ns,status,exit_code,optimizer,lr,rolled_step,
                  thinned_step)
	SELECT run_id,session_key,name,command,cwd,host,version,start_ns,end_ns,status,exit_code,optimizer,lr,rolled_step,
	       thinned_step FROM run;
DROP TABLE run;
ALTER TABLE run_2 RENAME TO run;
ALTER TABLE param ADD COLUMN left_out TEXT;
ALTER TABLE param ADD COLUMN shape TEXT;
UPDATE param SET shape = rows || 'x' || cols, left_out = CASE WHEN excluded THEN 'tied' END;
ALTER TABLE step ADD COLUMN lr REAL;

