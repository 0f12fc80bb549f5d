#!/usr/bin/python3
"""A trainer on a GPU under gnscope against every sample's gradient computed by brute force.

tests/programs/gpu_mlp trains three times with the same seed: alone; alone again while it also copies each layer's operands back and
computes every sample's own weight gradient from them in float64 on the host; and under `gnscope run --every 1`, knowing nothing of
it. All three must give the same losses and weights to the bit, so the numbers speak of the same gradients. On the fakes of
CUDA's libraries, or with --real on what the machine has.
"""
import json
import os
import sys

import common
from common import check
from truth import pooled, relative

STEPS = 56
LAYERS = {"fc1": (64, 48), "fc2": (64, 64), "fc3": (10, 64)}
ATTENTION = dict.fromkeys(("query", "key", "value", "output"), (64, 64))
RESULTS = {"fp32": 1e-5, "fp64": 1e-9, "bf16": 1e-3}

# name: options, the symbol that most products go to, how many products a micro-step sends there
CASES = {
    "gemm": ("--api gemm", "cublasSgemm_v2", 8),
    "gemm-64": ("--api gemm --wide", "cublasSgemm_v2_64", 8),
    "double": ("--api gemm --type fp64", "cublasDgemm_v2", 8),
    "gemmex": ("--api gemmex", "cublasGemmEx", 8),
    "bf16": ("--api gemmex --type bf16", "cublasGemmEx", 8),
    "bf16-64": ("--api gemmex --type bf16 --wide", "cublasGemmEx_64", 8),
    "bf16-into-fp32": ("--api gemmex --type bf16 --grad-type fp32 --accumulate 3", "cublasGemmEx", 8),
    "lt": ("--api lt", "cublasLtMatmul", 8),
    "lt-bf16": ("--api lt --type bf16 --bgrad", "cublasLtMatmul", 8),
    "lt-row": ("--api lt-row", "cublasLtMatmul", 8),
    "accumulate": ("--accumulate 4 --batch 8", "cublasGemmEx", 8),
    "tokens": ("--tokens 6 --batch 16", "cublasGemmEx", 8),
    "attention": ("--tokens 8 --batch 16 --attention", "cublasGemmEx", 20),
    "weights-first": ("--weights-first", "cublasGemmEx", 8),
    "attention-weights-first": ("--tokens 8 --batch 16 --attention --weights-first", "cublasGemmEx", 20),
    "attention-bf16": ("--tokens 8 --batch 16 --attention --type bf16", "cublasGemmEx", 20),
    "streams": ("--streams 2", "cublasGemmEx", 8),
    "streams-attention": ("--streams 2 --tokens 8 --batch 16 --attention", "cublasGemmEx", 20),
    "devices": ("--devices 2", "cublasGemmEx", 8),
    "capture": ("--capture 20", "cublasGemmEx", 8),
    "capture-lt": ("--capture 20 --api lt --type bf16", "cublasLtMatmul", 8),
    "capture-streams": ("--capture 20 --streams 2 --tokens 8 --batch 16 --attention", "cublasGemmEx", 20),
    "capture-accumulate": ("--capture 20 --accumulate 3", "cublasGemmEx", 8),
}
GROUPS = {
    "apis": [n for n, c in CASES.items() if not {"--attention", "--capture", "--streams", "--devices"} & set(c[0].split())],
    "attention": [n for n, c in CASES.items() if "--attention" in c[0]],
    "order": [n for n, c in CASES.items() if {"--capture", "--streams", "--devices"} & set(c[0].split()) and "--attention" not in c[0]],
}
SHORT = ("gemm", "bf16", "lt", "attention", "accumulate", "streams", "devices", "capture")


class Case:
    def __init__(self, bench, name):
        self.name, self.bench = name, bench
        options, self.symbol, self.products = CASES[name]
        self.options = ["--steps", str(STEPS), *options.split()]
        self.batch = int(self.option("--batch", 32))
        self.tokens = int(self.option("--tokens", 1))
        self.micro = int(self.option("--accumulate", 1))
        self.capture = int(self.option("--capture", 0))
        self.type = self.option("--type", "fp32")
        self.layers = {**LAYERS, **(ATTENTION if "--attention" in self.options else {})}
        self.store = bench.path(f"{name}.db")

    def option(self, name, otherwise):
        return self.options[self.options.index(name) + 1] if name in self.options else otherwise

    def program(self, how, *more):
        return [self.bench.gpu_mlp, *self.options, "--losses", self.losses(how), "--weights-hash", *more]

    def losses(self, how):
        return self.bench.path(f"{self.name}-{how}.losses")

    def outcome(self, how, command, **more):
        done = self.bench.must(command, **more)
        said = [line for line in done.stderr.splitlines() if not line.startswith("gnscope: ")]
        check(not said, f"{self.name}, {how}: wrote to its standard error: {said}")
        losses = open(self.losses(how)).read()
        check(losses.count("\n") == STEPS, f"{self.name}, {how}: {losses.count(chr(10))} losses of {STEPS} steps")
        return losses, done.stdout

    def run(self):
        plain = self.outcome("plain", self.program("plain"))
        notes = self.bench.path(f"{self.name}.truth")
        ways = {"truth": lambda: self.outcome("truth", self.program("truth", "--truth", notes))}
        ways["gnscope"] = lambda: self.outcome("gnscope", self.bench.gns_run(
            self.store, "--samples", self.batch, "--every", 1, "--", *self.program("gnscope")))
        for how, way in ways.items():
            got = way()
            check(got == plain, f"{self.name}: training alone and with {how} differ:\n{plain[1]}{got[1]}")
        return [json.loads(line) for line in open(notes)]


def grads(store):
    rows = common.query(store, "SELECT g.*, p.rows, p.cols, p.excluded FROM grad g JOIN param p USING (run_id, param_id)")
    steps = {}
    for row in rows:
        steps.setdefault(row["step"], []).append(row)
    return steps


def why(store):
    """What the database says of what was not measured."""
    counters = common.query(store, "SELECT collector, name, value, text FROM collector WHERE value > 0 ORDER BY 1, 2")
    return "\n".join(f"  {c['collector']} {c['name']} {c['value']} {c['text'] or ''}" for c in counters)


def expected(case, truth):
    """rows, cols, q_big, q_small, n_small, n_big, groups. A gradient that is accumulated in place is one of all the step's samples."""
    rows, cols, n, micro, q_small, q_big, whole_small, whole_big = truth
    if micro > 1:
        return rows, cols, whole_big, whole_small, 1, n * micro, n * micro
    return rows, cols, q_big, q_small, 1, n, n


def compare_step(case, step, rows, exact):
    """Weights of one shape are told apart by q_big: sorted by it. Relative errors of q_big in all and, at worst, of q_small."""
    got = sorted((r["rows"], r["cols"], r["q_big"], r["q_small"], r["n_small"], r["n_big"], r["groups"]) for r in rows)
    want = sorted(expected(case, v) for v in exact.values())
    check([g[:2] for g in got] == [w[:2] for w in want],
          f"{case.name}, step {step}: weights {[g[:2] for g in got]} measured, {[w[:2] for w in want]} expected\n{why(case.store)}")
    big, small = relative(sum(g[2] for g in got), sum(w[2] for w in want)), 0.0
    limit = RESULTS[case.type] * (2 if case.type == "bf16" else 1) # of one weight alone: few elements that are rounded
    for g, w in zip(got, want):
        check(g[4:] == w[4:], f"{case.name}, step {step}, {w[0]} x {w[1]}: n_small, n_big, groups are {g[4:]}, expected {w[4:]}")
        off = relative(g[2], w[2])
        check(off <= limit, f"{case.name}, step {step}, {w[0]} x {w[1]}: q_big {g[2]}, exact {w[2]}, off by {off:.1e}")
        small = max(small, relative(g[3], w[3]))
    return big, small


def first_step(case, steps):
    """Learning takes a few steps; from then on every one is measured, but that in which a graph was captured may be missed."""
    check(steps, f"{case.name}: no step was measured\n{why(case.store)}")
    first = min(steps)
    check(first <= 16, f"{case.name}: the first step measured is {first}\n{why(case.store)}")
    missing = [s for s in range(first, STEPS + 1) if s not in steps]
    check(len(missing) <= 2 if case.capture else not missing, f"{case.name}: steps {missing} not measured\n{why(case.store)}")
    return first


def compare(case, truth):
    steps = grads(case.store)
    numbers = [r["step"] for r in common.query(case.store, "SELECT step FROM step ORDER BY step")]
    check(numbers in (list(range(1, STEPS)), list(range(1, STEPS + 1))), f"{case.name}: {STEPS} steps were made, seen: {numbers}")
    first = first_step(case, [s for s in steps if s < STEPS] and steps)
    big, small, ours, theirs = 0.0, 0.0, [], []
    for step in sorted(steps):
        exact = {k: v for k, v in truth[step - 1].items() if k != "step"}
        check(truth[step - 1]["step"] == step, "the truth's steps are in order")
        worst = compare_step(case, step, steps[step], exact)
        big, small = max(big, worst[0]), max(small, worst[1])
        n = case.batch * case.micro
        ours.append((n, sum(r["q_small"] for r in steps[step]), sum(r["q_big"] for r in steps[step])))
        wanted = [expected(case, v) for v in exact.values()]
        theirs.append((n, sum(w[3] for w in wanted), sum(w[2] for w in wanted)))
    w = common.weights(steps, max(numbers))
    verdict(case, first, len(steps), big, small, pooled(ours, w), pooled(theirs, w))


def verdict(case, first, measured, big, small, ours, exact):
    limit = RESULTS[case.type]
    off = [relative(a, b) for a, b in zip(ours, exact)]
    print(f"{case.name}: {measured} of {STEPS} steps from {first}, {len(case.layers)} weights; q_big within {big:.1e}, q_small within "
          f"{small:.1e}; b_noise {ours[2]:.2f}, exact {exact[2]:.2f}, off by {off[2]:.2%}; s off by {off[0]:.2%}")
    check(big <= limit, f"{case.name}: q_big is off by {big:.1e}, at most {limit:.0e} expected")
    if case.tokens == 1: # one row a sample: no sketch
        check(small <= limit, f"{case.name}: q_small is off by {small:.1e}, at most {limit:.0e} expected")
    check(off[0] <= 0.02, f"{case.name}: s is off by {off[0]:.2%}")
    check(off[2] <= (0.03 if case.tokens > 1 else 0.01), f"{case.name}: b_noise is off by {off[2]:.2%}")
    shown = case.bench.show(case.store)
    check(shown["b_noise"] is not None and relative(shown["b_noise"], ours[2]) < 1e-9,
          f"{case.name}: show says b_noise {shown['b_noise']}, its rows say {ours[2]}")


def calls_counted(case):
    """Every call once: not again where cuBLAS passes it on to cuBLASLt, and not the replays of a graph."""
    counters = {(c["collector"], c["name"]): c["value"] for c in common.query(case.store, "SELECT collector, name, value FROM collector")}
    eager = case.capture + 1 if case.capture else STEPS
    library = "cublaslt" if case.symbol == "cublasLtMatmul" else "cublas"
    got, want = counters.get((library, case.symbol), 0), eager * case.micro * case.products
    check(got == want, f"{case.name}: {got} calls of {case.symbol} counted, {want} were made\n{why(case.store)}")
    if library == "cublas":
        check(not counters.get(("cublaslt", "cublasLtMatmul")), f"{case.name}: cuBLAS's own calls of cublasLtMatmul were counted")
    if len(case.layers) > 3:
        batched = counters.get(("cublas", "cublasGemmStridedBatchedEx"), 0)
        check(batched == eager * case.micro * 6, f"{case.name}: {batched} batched calls counted")


def libraries_told(case):
    rows = common.query(case.store, "SELECT name, version, path FROM library")
    name = "cublaslt" if case.symbol == "cublasLtMatmul" else "cublas"
    met = [r for r in rows if r["name"] == name]
    check(met and all(r["version"] and "lib" in r["path"] for r in met), f"{case.name}: libraries told: {rows}")


def switched_off(bench):
    """GNSCOPE_GPU=0 and --no-gpu: the same training, and nothing is seen of it."""
    case = Case(bench, "bf16")
    plain = case.outcome("plain", case.program("plain"))
    for how, words, env in (("flag", ["--no-gpu"], {}), ("variable", [], {"GNSCOPE_GPU": "0"})):
        store = bench.path(f"off-{how}.db")
        got = case.outcome(how, bench.gns_run(store, *words, "--samples", 32, "--every", 1, "--", *case.program(how)),
                           env={**bench.env, **env})
        check(got == plain, f"training under gnscope with GPUs left alone differs:\n{plain[1]}{got[1]}")
        if os.path.exists(store):
            for table in ("grad", "step", "library", "param", "kernel"):
                n = common.query(store, f"SELECT count(*) AS n FROM {table}")[0]["n"]
                check(n == 0, f"GPUs are left alone ({how}), and {table} has {n} rows")
    print("--no-gpu and GNSCOPE_GPU=0: the same training, nothing is seen of it")


def one(bench, name):
    case = Case(bench, name)
    truth = case.run()
    compare(case, truth)
    calls_counted(case)
    libraries_told(case)


def test(args):
    with common.Bench(args, torch=False) as bench:
        bench.gpu_mlp = os.path.join(args.build, "bin", "gpu_mlp")
        if not os.path.exists(bench.gpu_mlp):
            print("there is no gpu_mlp: built without a C++ compiler, so without fakes")
            sys.exit(77)
        if not args.real:
            bench.env["LD_LIBRARY_PATH"] = os.path.join(args.build, "fakes")
            bench.env["GNS_FAKE_DEVICES"] = "2"
        done = 0
        chosen = args.case or (SHORT if args.short else GROUPS.get(args.group, CASES))
        for name in chosen:
            if args.real and "--devices" in CASES[name][0] and bench.run(Case(bench, name).program("probe")).returncode:
                print(f"{name}: left out, there is one device")
                continue
            one(bench, name)
            done += 1
        if not args.case and args.group in (None, "order"):
            switched_off(bench)
        print(f"gpu_truth: {done} cases agree with every sample's own gradient")


if __name__ == "__main__":
    p = common.arguments(__doc__.splitlines()[0])
    p.add_argument("--real", action="store_true", help="on the CUDA of this machine, not on the fakes")
    p.add_argument("--short", action="store_true", help="fewer cases")
    p.add_argument("--group", choices=GROUPS, help="the cases of one kind")
    p.add_argument("case", nargs="*", choices=[*CASES, []])
    a = p.parse_args()
    common.main(lambda: test(a))
