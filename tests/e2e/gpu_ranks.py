#!/usr/bin/python3
"""Ranks that reduce their gradients through NCCL, under gnscope, against norms worked out from the elements they send.

tests/programs/gpu_ranks trains with gradients of known B_noise; it writes what the norms before and after every reduction are, in
float64 and without NCCL. The database must hold these numbers, step for step and rank for rank, B_noise must be what they give when
pooled and within its interval of the known answer; and the weights must end the same to the bit as without gnscope. On the fakes of CUDA's
libraries, or with --real on what the machine has.
"""
import os
import sys

import common
from common import check

STEPS = 60
NOISE = 100.0  # B_noise in samples, by construction
BATCH = 32
WITHIN = {"f32": 1e-5, "f64": 1e-9, "f16": 1e-3, "bf16": 1e-3}


class Case:
    def __init__(self, options, nothing=None, run=(), env=None, unit="rank batches", learning=6, steps=STEPS, lost=0):
        self.options, self.nothing, self.run, self.unit = options.split(), nothing, run, unit
        self.env, self.learning, self.steps, self.lost = env or {}, learning, steps, lost
        self.world = int(self.option("--world", 2))
        self.models = int(self.option("--models", 1))
        self.type = self.option("--type", "f32")
        self.how = self.option("--how", "processes")
        self.scatter = "--scatter" in self.options

    def option(self, name, default):
        return self.options[self.options.index(name) + 1] if name in self.options else default


# nothing: no number may come of it, and this counter says why. learning: steps until there are numbers, at most. lost: more of them may be missing.
CASES = {
    "avg": Case("--op avg"),
    "avg-4": Case("--op avg --world 4"),
    "in-place": Case("--op avg --world 4 --in-place"),
    "sum": Case("--op sum --broadcast"),
    "sum-in-place": Case("--op sum --broadcast --in-place --world 4"),
    "premul": Case("--op premul --world 4"),
    "equal": Case("--op avg --equal"),
    "same-buffer": Case("--op avg --same-buffer --in-place", learning=8, lost=2),
    "one-bucket": Case("--op avg --buckets 1"),
    "bf16": Case("--op avg --type bf16 --world 4"),
    "bf16-sum": Case("--op sum --type bf16 --broadcast --in-place"),
    "f16": Case("--op avg --type f16"),
    "f64": Case("--op avg --type f64"),
    "scatter": Case("--op avg --scatter"),
    "scatter-4": Case("--op avg --scatter --world 4 --in-place"),
    "scatter-sum": Case("--op sum --broadcast --scatter --world 4"),
    "scatter-bf16": Case("--op avg --scatter --world 4 --type bf16"),
    "group": Case("--op avg --group --world 4"),
    "group-late": Case("--op avg --group --late --in-place"),
    "scatter-group": Case("--op avg --group --late --scatter --world 4"),
    "threads": Case("--op avg --world 4 --how threads", env={"GNS_FAKE_DEVICES": "4"}, lost=2),
    "threads-scatter": Case("--op avg --world 2 --how threads --scatter", env={"GNS_FAKE_DEVICES": "2"}, lost=2),
    "one-thread": Case("--op avg --world 4 --how one-thread", env={"GNS_FAKE_DEVICES": "4"}),
    "one-thread-scatter": Case("--op avg --world 2 --how one-thread --scatter --in-place", env={"GNS_FAKE_DEVICES": "2"}),
    "samples": Case("--op avg --world 4", run=("--samples", str(BATCH)), unit="samples"),
    "samples-devices": Case("--op avg --world 2 --how one-thread", run=("--samples", str(2 * BATCH)), unit="samples",
                            env={"GNS_FAKE_DEVICES": "2"}),
    "told": Case("--op avg --marks --told", unit="samples"),
    "marks": Case("--op sum --marks"),
    "launcher": Case("--op avg --world 4 --env"),
    "metrics": Case("--op avg --metrics"),
    "models": Case("--op avg --world 4 --models 2 --env"),
    "new-buckets": Case("--op avg --change 30", lost=12),
    "unsure": Case("--op sum", nothing="unsure"),
    "models-sum": Case("--op sum --world 4 --models 2 --marks --env", nothing="several_communicators"),
    "factor-on-device": Case("--op premul-device", nothing="factor_unknown"),
    "small": Case("--op avg --numel 3000 --buckets 4 --equal", nothing="few_elements"),
    "nonblocking": Case("--op avg --group", nothing="nonblocking", env={"GNS_FAKE_NCCL_PENDING": "1"}),
}
SHORT = ("avg", "sum-in-place", "bf16", "scatter-4", "group-late", "threads", "samples", "models", "unsure")


def two_batch(n_small, n_big, q_small, q_big):
    return ((q_small - q_big) / (1 / n_small - 1 / n_big), (n_big * q_big - n_small * q_small) / (n_big - n_small))


def close(got, wanted, within, what):
    check(got is not None and abs(got - wanted) <= within * abs(wanted), f"{what}: {got!r}, not {wanted!r} within {within:g}")


class Truth:
    """norm[rank][step][bucket]: (before, after); after a reduce-scatter: of the rank's own part."""

    def __init__(self, path, world):
        self.norm = []
        for rank in range(world):
            steps = {}
            with open(f"{path}.{rank}") as lines:
                for line in lines:
                    step, bucket, small, big = line.split()
                    steps.setdefault(int(step), {})[int(bucket)] = (float(small), float(big))
            self.norm.append(steps)


class Run:
    def __init__(self, bench, name, fakes, program):
        self.bench, self.name, self.case = bench, name, CASES[name]
        self.store, self.program = bench.path(f"{name}.db"), program
        self.env = {**bench.env, **self.case.env}
        if fakes:
            self.env["LD_LIBRARY_PATH"] = fakes
        self.words = ["--steps", str(self.case.steps), "--batch", str(BATCH), "--noise", str(NOISE), *self.case.options]

    def train(self):
        truth = self.bench.path(f"{self.name}.truth")
        alone = self.bench.must([self.program, *self.words, "--hash"], env=self.env)
        under = self.bench.must(self.bench.gns_run(self.store, "--name", self.name, "--every", "1", *self.case.run, "--", self.program,
                                                   *self.words, "--hash", "--truth", truth), env=self.env)
        check(sorted(alone.stdout.split("\n")) == sorted(under.stdout.split("\n")),
              f"other weights under gnscope:\n{alone.stdout}{under.stdout}")
        check(len(alone.stdout.split()) == 2 * self.case.world, f"a rank is missing: {alone.stdout}")
        self.truth = Truth(truth, self.case.world)

    def query(self, sql, *values):
        return common.query(self.store, sql, *values)

    def counters(self):
        return {(r["collector"], r["name"]): r["value"] for r in self.query("SELECT collector, name, max(value) AS value FROM collector GROUP BY 1, 2")}

    def processes(self):
        return self.case.world if self.case.how == "processes" else 1

    # Of one row of grad: the ranks it speaks of, and their number W among themselves.
    def ranks_of(self, row):
        mine = self.case.world // self.processes()
        return range(row["rank"] * mine, (row["rank"] + 1) * mine)

    def model_of(self, rank):
        return rank % self.case.models

    def expected(self, rank_numbers, step, bucket):
        norms = [self.truth.norm[rank][step][bucket] for rank in rank_numbers]
        world = self.case.world // self.case.models
        return sum(n[0] for n in norms) / len(norms), sum(n[1] for n in norms) / len(norms) * (world if self.case.scatter else 1)

    def sizes(self):
        """Bucket by number of elements, or by order where they are equal; in the order in which they are reduced."""
        numel, buckets = int(self.case.option("--numel", 24000)), int(self.case.option("--buckets", 3))
        equal = "--equal" in self.case.options

        def first(b, n):
            at = numel * b // n if equal else numel * b * (b + 1) // (n * (n + 1))
            return at // 8 * 8
        return {n: [first(b + 1, n) - first(b, n) for b in range(n)] for n in (buckets, buckets - 1)}

    def grads(self):
        return self.query("SELECT g.*, p.name, p.numel, p.bucket FROM grad g JOIN param p USING (run_id, param_id)"
                          " ORDER BY g.step, g.rank, g.param_id")

    def buckets_of(self, rows):
        """Which bucket of the program each row of one step and rank is."""
        sizes = self.sizes()
        for n, of in sizes.items():
            if len(rows) == n and sorted(of) == sorted(r["numel"] for r in rows):
                if len(set(of)) == n:
                    return [of.index(r["numel"]) for r in rows]
                return [n - 1 - i for i in range(n)] # reduced last first, and numbered so
        raise common.Failed(f"step {rows[0]['step']} has buckets of {[r['numel'] for r in rows]}, not {sizes}")

    def check_grads(self):
        case, source = self.case, "shard" if self.case.scatter else "rank"
        steps, world = {}, case.world // case.models
        for row in self.grads():
            steps.setdefault(row["step"], {}).setdefault(row["rank"], []).append(row)
        check(len(steps) >= case.steps - case.learning - case.lost, f"only {len(steps)} of {case.steps} steps measured: {sorted(steps)}")
        check(max(steps) == case.steps, f"the last step is {max(steps)}, not {case.steps}")
        unit = BATCH if case.unit == "samples" else 1
        for step, ranks in steps.items():
            check(sorted(ranks) == list(range(self.processes())), f"step {step} has ranks {sorted(ranks)}")
            for rank, rows in ranks.items():
                for row, bucket in zip(rows, self.buckets_of(rows)):
                    what = f"step {step}, rank {rank}, {row['name']}"
                    check(row["source"] == source and row["bucket"] == 1, f"{what}: source {row['source']}, bucket {row['bucket']}")
                    check((row["n_small"], row["n_big"], row["groups"]) == (unit, unit * world, case.world // self.processes()),
                          f"{what}: {row['n_small']}, {row['n_big']}, {row['groups']}")
                    small, big = self.expected(self.ranks_of(row), step, bucket)
                    close(row["q_small"], small, WITHIN[case.type] * 0.1, f"{what}: q_small")
                    close(row["q_big"], big, WITHIN[case.type], f"{what}: q_big")
        return sorted(steps)

    def pooled(self, steps):
        case = self.case
        unit, world = (BATCH if case.unit == "samples" else 1), case.world // case.models
        s = g2 = 0
        last = common.query(self.store, "SELECT max(step) AS step FROM step")[0]["step"]
        for step, w in zip(sorted(steps), common.weights(steps, last)):
            norms = [sum_of(self.truth.norm[rank][step].values()) for rank in range(case.world)]
            small = sum(n[0] for n in norms) / case.world
            big = sum(n[1] for n in norms) / case.world * (world if case.scatter else 1)
            one = two_batch(unit, unit * world, small, big)
            s, g2 = s + w * one[0], g2 + w * one[1]
        return s / g2

    def check_show(self, steps):
        case, shown = self.case, self.bench.show(self.store)
        check(shown["sample_unit"] == case.unit, f"the unit is {shown['sample_unit']!r}")
        check(shown["sources"] == ["shard" if case.scatter else "rank"], f"sources {shown['sources']}")
        check(shown["steps_measured"] == len(steps), f"{shown['steps_measured']} steps measured, {len(steps)} in the database")
        if "--change" not in case.options: # of the buckets before and after
            close(shown["coverage"], 1, 1e-9, "coverage")
        close(shown["samples_per_step"], case.world // case.models * (BATCH if case.unit == "samples" else 1) *
              (case.models if self.processes() > 1 else 1), 1e-9, "samples a step")
        close(shown["b_noise"], self.pooled(steps), max(1e-6, 20 * WITHIN[case.type]), "B_noise of the exact norms")
        known = NOISE / (1 if case.unit == "samples" else BATCH)
        check(shown["resolved"] and shown["b_noise_lo"] <= known <= shown["b_noise_hi"],
              f"B_noise {shown['b_noise']} [{shown['b_noise_lo']} to {shown['b_noise_hi']}] {shown['sample_unit']}, known {known}")
        names = [w["name"] for w in shown["warnings"]]
        check(("rank_batches" in names) == (case.unit == "rank batches"), f"warnings {names}")

    def check_nothing(self):
        got = self.query("SELECT (SELECT count(*) FROM grad) AS grads")[0]["grads"]
        check(got == 0, f"{got} norms of what must not be measured")
        counted = self.counters().get(("nccl", self.case.nothing))
        check(counted, f"no counter says {self.case.nothing}: {self.counters()}")

    def check(self):
        self.train()
        calls = self.counters().get(("nccl", "ncclReduceScatter" if self.case.scatter else "ncclAllReduce"))
        check(calls, f"no call was seen: {self.counters()}")
        if self.case.nothing:
            self.check_nothing()
            return
        steps = self.check_grads()
        self.check_show(steps)
        worst = self.query("SELECT max(overhead_ns) AS ns FROM step")[0]["ns"]
        print(f"{self.name}: {len(steps)} steps, B_noise {self.bench.show(self.store)['b_noise']:.4g}; {worst / 1e3:.0f} us at most")


def sum_of(pairs):
    pairs = list(pairs)
    return sum(p[0] for p in pairs), sum(p[1] for p in pairs)


def test(args):
    program, fakes = os.path.join(args.build, "bin", "gpu_ranks"), os.path.join(args.build, "fakes")
    if not os.path.exists(program):
        print("gpu_ranks: left out, this build has none")
        sys.exit(77)
    failed = []
    with common.Bench(args) as bench:
        for name in args.case or (SHORT if args.short else CASES):
            try:
                Run(bench, name, None if args.real else fakes, program).check()
            except common.Failed as why:
                failed.append(name)
                print(f"{name}: {why}", file=sys.stderr)
        check(not failed, f"failed: {' '.join(failed)}")


if __name__ == "__main__":
    p = common.arguments(__doc__.splitlines()[0])
    p.add_argument("--real", action="store_true", help="on the CUDA of this machine, not on the fakes")
    p.add_argument("--short", action="store_true", help="fewer cases")
    p.add_argument("case", nargs="*", choices=[*CASES, []])
    a = p.parse_args()
    common.main(lambda: test(a))
