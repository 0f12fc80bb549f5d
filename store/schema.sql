-- The run database, version 4. Described for readers in docs/reference/schema.md.
-- Every statement may be run again: this file is also the migration from version 0, an empty file, and the end of every other
-- (migrate_1.sql, migrate_2.sql, migrate_3.sql).
-- Times are nanoseconds of the realtime clock where a name ends in _ns and says start or end, durations otherwise.
-- Absent numbers are NULL.

CREATE TABLE IF NOT EXISTS run (
	run_id       INTEGER PRIMARY KEY,
	session_key  INTEGER NOT NULL,        -- the recorder's session: the same key and stream continue the same run
	name         TEXT NOT NULL,
	command      TEXT,
	cwd          TEXT,
	host         TEXT,
	version      TEXT,                    -- of gnscope
	start_ns     INTEGER NOT NULL,
	end_ns       INTEGER,                 -- NULL while running
	status       TEXT NOT NULL DEFAULT 'running', -- running, finished, failed, killed, lost, reached (by a sweep)
	exit_code    INTEGER,                 -- minus the signal when killed by one
	optimizer    TEXT,
	lr           REAL,                    -- of the newest step
	rolled_step  INTEGER NOT NULL DEFAULT 0, -- totals are final up to this step
	thinned_step INTEGER NOT NULL DEFAULT 0, -- raw grad, kernel_step and estimate rows up to here may be gone
	stream       INTEGER NOT NULL DEFAULT 0, -- a program with several optimizers has a run for each, numbered from 0
	main_run_id  INTEGER,                    -- the run of stream 0; NULL: this is it
	noise_step   INTEGER, -- b_noise to b_crit_hi are of the steps 1 to this one; while the run goes on they are renewed each second
	b_noise      REAL,    -- samples; NULL when unresolved
	b_noise_lo   REAL,    -- 95% limits; unresolved: "at least b_noise_lo"
	b_noise_hi   REAL,
	resolved     INTEGER,
	b_crit       REAL,
	b_crit_lo    REAL,
	b_crit_hi    REAL,
	UNIQUE (session_key, stream)
);
CREATE INDEX IF NOT EXISTS run_main ON run(main_run_id) WHERE main_run_id IS NOT NULL;

-- One process of a run. `rank` is the number it has in the other tables.
CREATE TABLE IF NOT EXISTS rank (
	rank_id        INTEGER PRIMARY KEY,
	run_id         INTEGER NOT NULL REFERENCES run(run_id),
	rank           INTEGER NOT NULL,
	slot           INTEGER NOT NULL,
	pid            INTEGER NOT NULL,
	host           TEXT,
	world          INTEGER,             -- number of ranks, NULL unknown
	pooled         INTEGER NOT NULL,    -- 1: takes part in the run's totals
	ended          INTEGER NOT NULL DEFAULT 0,
	sample_unit    TEXT,                -- "samples", "rows" or "rank batches"
	samples_told   INTEGER,             -- per micro-step, by the user
	every          INTEGER,             -- measured interval as configured; NULL: by the budget
	budget_pct     REAL,
	start_ns       INTEGER,
	ring_tail      INTEGER NOT NULL DEFAULT 0, -- records stored; this and what was dropped are counted in stream 0's run
	dropped_records INTEGER NOT NULL DEFAULT 0,
	dropped_steps  INTEGER NOT NULL DEFAULT 0,
	steps          INTEGER NOT NULL DEFAULT 0,
	steps_measured INTEGER NOT NULL DEFAULT 0,
	steps_refused  INTEGER NOT NULL DEFAULT 0,
	last_step      INTEGER NOT NULL DEFAULT 0,
	last_measured  INTEGER NOT NULL DEFAULT 0,
	startup_ns     INTEGER NOT NULL DEFAULT 0, -- what it took gnscope to get into the process, not in the overhead of steps
	UNIQUE (run_id, rank),
	UNIQUE (run_id, slot, pid)
);

-- A weight. param_id is unique in the run; ranks that train the same weight share it.
CREATE TABLE IF NOT EXISTS param (
	run_id   INTEGER NOT NULL REFERENCES run(run_id),
	param_id INTEGER NOT NULL,
	name     TEXT NOT NULL,
	dtype    TEXT,
	rows     INTEGER NOT NULL, -- as stored, row-major; out x in for PyTorch's Linear
	cols     INTEGER NOT NULL,
	numel    INTEGER NOT NULL,
	excluded INTEGER NOT NULL DEFAULT 0, -- 1: seen but left out
	left_out TEXT,             -- why: tied, recurrent, compiled, sparse, device, dtype, operation, user_hook, sharded, unused,
	                           -- checkpoint, samples
	shape    TEXT,             -- "64x3x7x7"
	bucket   INTEGER NOT NULL DEFAULT 0, -- 1: what ranks reduce at once; its elements are those of other weights
	PRIMARY KEY (run_id, param_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS param_name ON param(run_id, name);

-- What a process calls its weights and kernels, in the run's numbers.
CREATE TABLE IF NOT EXISTS rank_param (
	rank_id INTEGER NOT NULL, local_id INTEGER NOT NULL, param_id INTEGER NOT NULL,
	PRIMARY KEY (rank_id, local_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rank_kernel (
	rank_id INTEGER NOT NULL, local_id INTEGER NOT NULL, kernel_id INTEGER NOT NULL,
	PRIMARY KEY (rank_id, local_id)
) WITHOUT ROWID;

-- One optimizer step of one rank. q_small to g2 are the sums over the weights of the preferred source
-- (torch, gemm, rank, shard, microstep, consecutive), NULL when the step was not measured or a number was not finite.
CREATE TABLE IF NOT EXISTS step (
	run_id      INTEGER NOT NULL,
	step        INTEGER NOT NULL,
	rank        INTEGER NOT NULL,
	start_ns    INTEGER,
	dur_ns      INTEGER, -- to the next step's start; NULL: only its loss is known
	overhead_ns INTEGER, -- of which in the profiler
	samples     INTEGER, -- on this rank, NULL unknown
	rows        INTEGER,
	micro_steps INTEGER,
	measured    INTEGER,
	refused     INTEGER, -- was to be measured but could not be
	params      INTEGER, -- weights measured
	every       INTEGER, -- interval in force, rounded: one step in so many is measured
	source      TEXT,
	n_small     INTEGER, -- NULL when weights differ; then s and g2 are sums over weights
	n_big       INTEGER,
	q_small     REAL,
	q_big       REAL,
	s           REAL,
	g2          REAL,
	loss        REAL,
	lr          REAL, -- learning rate of the optimizer's first group
	weight      REAL, -- steps that this measured one represents: half the gap to each measured neighbour, the first and the last reach
	                  -- to the ends of the run; NULL where it is not in the run's totals
	startup     INTEGER, -- 1: overhead_ns is what it took gnscope to get in, and dur_ns is no step time
	PRIMARY KEY (run_id, step, rank)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS grad (
	run_id   INTEGER NOT NULL,
	step     INTEGER NOT NULL,
	rank     INTEGER NOT NULL,
	param_id INTEGER NOT NULL,
	source   TEXT NOT NULL,    -- torch, gemm, rank, shard, microstep, consecutive
	n_small  INTEGER NOT NULL, -- samples behind q_small
	n_big    INTEGER NOT NULL, -- samples behind q_big
	groups   INTEGER NOT NULL, -- small groups averaged in q_small
	q_small  REAL,             -- mean squared norm of the groups' mean gradients
	q_big    REAL,             -- squared norm of the mean gradient; of a shard n_big / n_small times its own, so that ranks average
	PRIMARY KEY (run_id, step, rank, param_id, source)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS kernel (
	run_id    INTEGER NOT NULL REFERENCES run(run_id),
	kernel_id INTEGER NOT NULL,
	family    TEXT NOT NULL, -- wgrad, forward, dgrad, other; phase: a part of the step, which holds kernels of the others;
	                         -- "gpu ...": a kernel on a device, whose times are in device_kernel_step
	name      TEXT NOT NULL, -- "sgemm TN 512x128x784"; of a device: demangled, cut in the middle
	registers INTEGER,       -- a thread; these of a kernel on a device, NULL not known
	block     INTEGER,       -- threads of a block
	grid      INTEGER,       -- blocks, of its longest call
	shared    INTEGER,       -- bytes of shared memory a block
	PRIMARY KEY (run_id, kernel_id),
	UNIQUE (run_id, family, name)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS kernel_step (
	run_id    INTEGER NOT NULL,
	step      INTEGER NOT NULL,
	rank      INTEGER NOT NULL,
	kernel_id INTEGER NOT NULL,
	calls     INTEGER NOT NULL,
	total_ns  INTEGER NOT NULL,
	max_ns    INTEGER NOT NULL,
	flops     REAL, -- of all calls
	PRIMARY KEY (run_id, step, rank, kernel_id)
) WITHOUT ROWID;

-- How one device spent one step, by its own clock: compute_ns + comm_exposed_ns + copy_exposed_ns + idle_ns = wall_ns, for each
-- moment belongs to the first of these that was under way. Not every step is looked at, and a row may come some time after
-- the step's own.
CREATE TABLE IF NOT EXISTS device_step (
	run_id          INTEGER NOT NULL,
	step            INTEGER NOT NULL,
	rank            INTEGER NOT NULL,
	device          INTEGER NOT NULL, -- ordinal of the driver
	wall_ns         INTEGER NOT NULL, -- from the end of the step before to its own
	compute_ns      INTEGER NOT NULL, -- kernels, gnscope's among them
	comm_exposed_ns INTEGER NOT NULL, -- communication alone
	copy_exposed_ns INTEGER NOT NULL, -- memory copies alone
	idle_ns         INTEGER NOT NULL,
	comm_ns         INTEGER NOT NULL, -- in all, overlapped or not
	copy_ns         INTEGER NOT NULL,
	own_ns          INTEGER NOT NULL, -- gnscope's kernels
	queue_ns        INTEGER,          -- sum over kernels of the time from launch to start, NULL not known
	kernels         INTEGER NOT NULL, -- launched, copies left out
	dropped         INTEGER NOT NULL, -- activity records lost
	PRIMARY KEY (run_id, step, rank, device)
) WITHOUT ROWID;

-- As kernel_step, of kernels on a device and by its clock: never to be summed with those, which hold them.
CREATE TABLE IF NOT EXISTS device_kernel_step (
	run_id    INTEGER NOT NULL,
	step      INTEGER NOT NULL,
	rank      INTEGER NOT NULL,
	kernel_id INTEGER NOT NULL,
	calls     INTEGER NOT NULL,
	total_ns  INTEGER NOT NULL,
	max_ns    INTEGER NOT NULL,
	PRIMARY KEY (run_id, step, rank, kernel_id)
) WITHOUT ROWID;

-- What a process has loaded and a collector has met.
CREATE TABLE IF NOT EXISTS library (
	run_id  INTEGER NOT NULL,
	rank    INTEGER NOT NULL,
	name    TEXT NOT NULL, -- cuda, cublas, cublaslt, cudnn, nccl, cupti
	path    TEXT NOT NULL, -- cut in the middle
	version TEXT,          -- as the library tells it
	note    TEXT,          -- "owner": of CUPTI, gnscope is its client
	PRIMARY KEY (run_id, rank, name, path)
) WITHOUT ROWID;

-- Running totals of what each collector saw, refused or could not do. Collector "store" is the recorder's own.
CREATE TABLE IF NOT EXISTS collector (
	run_id    INTEGER NOT NULL,
	rank      INTEGER NOT NULL,
	collector TEXT NOT NULL,
	name      TEXT NOT NULL,
	value     INTEGER NOT NULL,
	text      TEXT, -- the last thing it happened to
	PRIMARY KEY (run_id, rank, collector, name)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS event (
	event_id INTEGER PRIMARY KEY,
	run_id   INTEGER NOT NULL,
	rank     INTEGER, -- NULL: of the whole run
	step     INTEGER,
	time_ns  INTEGER NOT NULL,
	name     TEXT NOT NULL,
	text     TEXT
);
CREATE INDEX IF NOT EXISTS event_run ON event(run_id, time_ns);

-- What the training is set to, from a step on: each row is a change.
CREATE TABLE IF NOT EXISTS setting (
	run_id INTEGER NOT NULL,
	step   INTEGER NOT NULL,
	name   TEXT NOT NULL, -- optimizer, momentum, beta1, weight_decay, lr.1 (of the second group), loss_scale, ...
	value  REAL,          -- NULL when it is a text
	text   TEXT,
	PRIMARY KEY (run_id, name, step)
) WITHOUT ROWID;

-- The live estimate of every measured step: decaying weights, half_life in measured steps.
CREATE TABLE IF NOT EXISTS estimate (
	run_id    INTEGER NOT NULL,
	step      INTEGER NOT NULL,
	half_life REAL NOT NULL,
	s         REAL,
	g2        REAL,
	b_noise   REAL, -- samples; NULL when unresolved
	lo        REAL, -- 95% limits; unresolved: "at least lo"
	hi        REAL,
	resolved  INTEGER NOT NULL,
	b_crit    REAL, -- of the run so far, samples
	b_crit_lo REAL,
	b_crit_hi REAL,
	PRIMARY KEY (run_id, step, half_life)
) WITHOUT ROWID;

-- Sums over the steps (block * size, (block + 1) * size], size 32, 1024 and 32768. Sums merge without loss. Columns
-- from first_step on are written when the block is complete; the loss sums are kept up to date all the time. The sums from weight to n_big
-- are over measured steps, each times step.weight, so that sum(s) / sum(g2) is B_noise of all steps that they represent.
CREATE TABLE IF NOT EXISTS rollup (
	run_id      INTEGER NOT NULL,
	size        INTEGER NOT NULL,
	block       INTEGER NOT NULL,
	loss_count  INTEGER NOT NULL DEFAULT 0,
	loss_sum    REAL NOT NULL DEFAULT 0,
	first_step  INTEGER, -- measured, NULL when none is
	last_step   INTEGER,
	count       INTEGER NOT NULL DEFAULT 0, -- measured steps
	weight      REAL NOT NULL DEFAULT 0,    -- steps that they represent
	weight2     REAL NOT NULL DEFAULT 0,    -- of weight * weight
	s           REAL NOT NULL DEFAULT 0,
	g2          REAL NOT NULL DEFAULT 0,
	ss          REAL NOT NULL DEFAULT 0,    -- of s * s
	sg          REAL NOT NULL DEFAULT 0,    -- of s * g2
	gg          REAL NOT NULL DEFAULT 0,    -- of g2 * g2
	q_big       REAL NOT NULL DEFAULT 0,    -- at the whole batch of the step
	n_big       REAL NOT NULL DEFAULT 0,    -- samples of the step, all ranks
	n_min       REAL,
	n_max       REAL,
	steps       INTEGER NOT NULL DEFAULT 0, -- rows of table step, all ranks
	startup     INTEGER NOT NULL DEFAULT 0, -- of these, start-up: not in the times below
	measured    INTEGER NOT NULL DEFAULT 0, -- rows that measured
	refused     INTEGER NOT NULL DEFAULT 0,
	dur_ns      INTEGER NOT NULL DEFAULT 0,
	overhead_ns INTEGER NOT NULL DEFAULT 0,
	timed       REAL NOT NULL DEFAULT 0,    -- of weight, over the rows that measured and are not start-up
	timed_ns    REAL NOT NULL DEFAULT 0,    -- of weight * dur_ns, over the same
	start_ns    INTEGER,                    -- of the last step
	PRIMARY KEY (run_id, size, block)
) WITHOUT ROWID;

-- The same for one weight and one source, size 256 and 32768; count is rows of grad, and all sums from weight on are weighted.
CREATE TABLE IF NOT EXISTS rollup_param (
	run_id     INTEGER NOT NULL,
	size       INTEGER NOT NULL,
	block      INTEGER NOT NULL,
	param_id   INTEGER NOT NULL,
	source     TEXT NOT NULL,
	first_step INTEGER NOT NULL,
	last_step  INTEGER NOT NULL,
	count      INTEGER NOT NULL,
	weight     REAL NOT NULL DEFAULT 0,
	weight2    REAL NOT NULL DEFAULT 0,
	q_small    REAL NOT NULL,
	q_big      REAL NOT NULL,
	n_big      REAL NOT NULL,
	s          REAL NOT NULL,
	g2         REAL NOT NULL,
	ss         REAL NOT NULL,
	sg         REAL NOT NULL,
	gg         REAL NOT NULL,
	PRIMARY KEY (run_id, size, block, param_id, source)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS rollup_kernel (
	run_id    INTEGER NOT NULL,
	size      INTEGER NOT NULL, -- 256 and 32768
	block     INTEGER NOT NULL,
	kernel_id INTEGER NOT NULL,
	count     INTEGER NOT NULL, -- rows of kernel_step
	calls     REAL NOT NULL,    -- these and total_ns, flops: times the weight of their step, so those of all steps; none of start-up
	total_ns  REAL NOT NULL,
	max_ns    INTEGER NOT NULL,
	flops     REAL NOT NULL,
	PRIMARY KEY (run_id, size, block, kernel_id)
) WITHOUT ROWID;

-- Of kernels on a device, kept up to date all the time: their times come late.
CREATE TABLE IF NOT EXISTS rollup_device_kernel (
	run_id    INTEGER NOT NULL,
	size      INTEGER NOT NULL, -- 256 and 32768
	block     INTEGER NOT NULL,
	kernel_id INTEGER NOT NULL,
	count     INTEGER NOT NULL, -- records
	calls     INTEGER NOT NULL,
	total_ns  INTEGER NOT NULL,
	max_ns    INTEGER NOT NULL,
	PRIMARY KEY (run_id, size, block, kernel_id)
) WITHOUT ROWID;

-- A sweep: one program trained at several batch sizes to one loss (docs/guides/sweep.md).
CREATE TABLE IF NOT EXISTS sweep (
	sweep_id    INTEGER PRIMARY KEY,
	name        TEXT NOT NULL UNIQUE,
	command     TEXT NOT NULL,    -- JSON array of the words, with {batch}, {lr} and {seed} as given
	cwd         TEXT,
	target_loss REAL NOT NULL,
	window      REAL NOT NULL,    -- of the rule that smooths the loss: its last step over its first
	loss_regex  TEXT,             -- NULL: the losses that the collectors or marks stored
	step_regex  TEXT,             -- NULL: the steps that were seen
	lr_rule     TEXT NOT NULL,    -- linear, sqrt, none, noise:N
	lr_batch    REAL,             -- where the rule leaves the learning rate as given
	version     TEXT,             -- of gnscope
	start_ns    INTEGER NOT NULL,
	end_ns      INTEGER           -- NULL: not complete
);

-- A point of a sweep: one training run. It reached the target after `steps`, or did not within `steps` (censored).
CREATE TABLE IF NOT EXISTS sweep_run (
	sweep_run_id INTEGER PRIMARY KEY,
	sweep_id   INTEGER NOT NULL REFERENCES sweep(sweep_id),
	batch      INTEGER NOT NULL,  -- samples a step, as given
	lr         REAL,              -- NULL: the program's own
	seed       INTEGER,           -- NULL: the program's own
	run_id     INTEGER,           -- NULL: not started, or no run could be stored
	status     TEXT NOT NULL DEFAULT 'waiting', -- waiting, running, reached, capped, slower, ended, diverged, failed, stopped
	steps      REAL,              -- to the target, between steps; not reached: steps trained in vain
	steps_se   REAL,              -- standard error from the noise of the loss, NULL when not reached
	samples    REAL,              -- steps * batch
	loss       REAL,              -- smoothed, at the end
	losses     INTEGER,           -- losses read
	cap_steps  REAL,              -- the limit that was in force, NULL none
	start_ns   INTEGER,
	end_ns     INTEGER,
	note       TEXT               -- what went wrong, for the user
);
CREATE UNIQUE INDEX IF NOT EXISTS sweep_run_point ON sweep_run(sweep_id, batch, ifnull(lr, -1), ifnull(seed, -1));

-- Ranks pooled: one row for each measured step of a run. Ranks that measured other batch sizes than
-- the first are left out, as in the totals; and steps of which some rank's shard is missing.
DROP VIEW IF EXISTS step_total;
CREATE VIEW step_total AS
	SELECT s.run_id, s.step, min(s.start_ns) AS start_ns, avg(s.dur_ns) / 1e6 AS step_ms,
	       avg(s.q_small) AS q_small, avg(s.q_big) AS q_big, s.n_small, s.n_big,
	       avg(s.s) AS s, avg(s.g2) AS g2, max(s.weight) AS weight, sum(s.samples) AS samples, avg(s.loss) AS loss, count(*) AS ranks
	FROM step s JOIN rank r ON r.run_id = s.run_id AND r.rank = s.rank AND r.pooled
	WHERE s.s IS NOT NULL
	GROUP BY s.run_id, s.step, s.n_small, s.n_big
	HAVING min(s.source) <> 'shard' OR count(*) = max(coalesce(r.world, 1));

-- The curve of B_noise: the longer half-life's estimate.
DROP VIEW IF EXISTS b_noise;
CREATE VIEW b_noise AS
	SELECT run_id, step, b_noise, lo, hi, resolved, b_crit, b_crit_lo, b_crit_hi
	FROM estimate WHERE half_life = 500.0;

-- One row a run: B_noise and B_crit of the whole run, as gnscope show has them.
DROP VIEW IF EXISTS run_summary;
CREATE VIEW run_summary AS
	SELECT run.run_id, run.name, run.status, run.command, run.optimizer, run.lr,
	       datetime(run.start_ns / 1000000000, 'unixepoch') AS started,
	       (SELECT max(steps) FROM rank WHERE rank.run_id = run.run_id) AS steps,
	       (SELECT max(steps_measured) FROM rank WHERE rank.run_id = run.run_id) AS steps_measured,
	       (SELECT sum(dropped_steps) FROM rank WHERE rank.run_id = run.run_id) AS dropped_steps,
	       run.b_noise, run.b_noise_lo, run.b_noise_hi, run.resolved, run.b_crit, run.b_crit_lo, run.b_crit_hi
	FROM run;

-- Where a step's time went on a device: shares of the wall time, which add up to 1.
DROP VIEW IF EXISTS device_split;
CREATE VIEW device_split AS
	SELECT run_id, step, rank, device, wall_ns / 1e6 AS wall_ms, 1.0 * compute_ns / wall_ns AS compute,
	       1.0 * comm_exposed_ns / wall_ns AS comm_exposed, 1.0 * copy_exposed_ns / wall_ns AS copy_exposed,
	       1.0 * idle_ns / wall_ns AS idle, 1.0 * own_ns / wall_ns AS gnscope,
	       1 - 1.0 * comm_exposed_ns / nullif(comm_ns, 0) AS comm_overlapped, -- of the communication
	       queue_ns / 1e3 / nullif(kernels, 0) AS queue_us, -- a kernel, from launch to start
	       kernels, dropped
	FROM device_step WHERE wall_ns > 0;

-- Kernels on devices, over all steps that were looked at.
DROP VIEW IF EXISTS device_kernel;
CREATE VIEW device_kernel AS
	SELECT k.run_id, k.kernel_id, k.family, k.name, k.registers, k.block, k.grid, k.shared,
	       sum(r.calls) AS calls, sum(r.total_ns) / 1e6 AS total_ms, max(r.max_ns) / 1e6 AS max_ms
	FROM kernel k JOIN rollup_device_kernel r ON r.run_id = k.run_id AND r.kernel_id = k.kernel_id AND r.size = 256
	GROUP BY k.run_id, k.kernel_id;
