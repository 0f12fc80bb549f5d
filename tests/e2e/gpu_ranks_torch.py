#!/usr/bin/python3
"""Two ranks of a PyTorch trainer that reduce through NCCL: two sources of two batch sizes in one run, which must tell the same.

tests/programs/torch_ranks.py calls ncclAllReduce on its flat gradient between backward and the optimizer's step. PyTorch's own part of
gnscope takes per-sample norms and the norm of each rank's gradient; the reduction's norms are of the same gradients, taken by other code: per
step and rank they must agree, and B_noise of both must be one number within their intervals. CPU tensors stand in for the device's.
"""
import os

import common
from common import check

STEPS, BATCH, WORLD = 150, 16, 2


def train(bench, name, *options):
    store = bench.path(f"{name}.db")
    program = [common.PYTHON, os.path.join(common.ROOT, "tests", "programs", "torch_ranks.py"), "--steps", str(STEPS), "--batch", str(BATCH), *options]
    alone = bench.must(program)
    under = bench.must(bench.gns_run(store, "--name", name, "--every", "1", "--", *program))
    check(sorted(alone.stdout.split("\n")) == sorted(under.stdout.split("\n")), f"other weights under gnscope:\n{alone.stdout}{under.stdout}")
    return store


def counted(store, name):
    rows = common.query(store, "SELECT sum(value) AS n FROM collector WHERE collector = 'nccl' AND name = ?", name)
    return rows[0]["n"] or 0


def norms(store, source):
    return {(r["step"], r["rank"]): r for r in common.query(
        store, "SELECT step, rank, sum(q_small) AS q_small, sum(q_big) AS q_big, min(n_small) AS n_small, max(n_big) AS n_big FROM grad "
        "WHERE source = ? GROUP BY step, rank", source)}


def near(a, b, within, what):
    check(abs(a - b) <= within * abs(b), f"{what}: {a!r}, not {b!r}")


def pooled(by_step):
    s = g2 = 0
    for n_small, n_big, q_small, q_big in by_step:
        s += (q_small - q_big) / (1 / n_small - 1 / n_big)
        g2 += (n_big * q_big - n_small * q_small) / (n_big - n_small)
    return s / g2


def two_sources(bench, name, accumulate):
    store = train(bench, name, "--accumulate", str(accumulate))
    rank, torch, batch = norms(store, "rank"), norms(store, "torch"), BATCH * accumulate
    check(len(rank) >= WORLD * (STEPS - 5), f"only {len(rank)} norms of {STEPS} steps on {WORLD} ranks")
    for (step, who), row in rank.items():
        what = f"{name}, step {step}, rank {who}"
        check((row["n_small"], row["n_big"]) == (batch, batch * WORLD), f"{what}: {row['n_small']}, {row['n_big']}")
        # Divided by the number of ranks beforehand, and summed: what is sent is that much smaller than the gradient.
        near(row["q_small"] * WORLD * WORLD, torch[step, who]["q_big"], 1e-5, f"{what}: norm of the rank's gradient")
        near(row["q_big"], rank[step, 0]["q_big"], 1e-9, f"{what}: the reduced gradient is one")
    steps = sorted({step for step, who in rank})
    of_ranks = pooled((batch, batch * WORLD, sum(rank[s, w]["q_small"] for w in range(WORLD)) / WORLD, rank[s, 0]["q_big"]) for s in steps)
    shown, layers = bench.show(store), bench.show(store, "--layers")["layers"]
    check(shown["sources"] == ["torch", "rank"] and shown["sample_unit"] == "samples", f"{shown['sources']}, {shown['sample_unit']}")
    check(shown["coverage"] == 1, f"coverage {shown['coverage']}: the bucket is counted beside the weights it is made of")
    bucket = [layer for layer in layers if layer["source"] == "rank"]
    check(len(bucket) == 1 and bucket[0]["numel"] == 1994, f"buckets {bucket}")
    near(bucket[0]["b_noise"], of_ranks, 1e-6, f"{name}: B_noise of the reductions")
    check(bucket[0]["b_noise_lo"] <= shown["b_noise_hi"] and shown["b_noise_lo"] <= bucket[0]["b_noise_hi"],
          f"{name}: by samples {shown['b_noise']} [{shown['b_noise_lo']} to {shown['b_noise_hi']}], by ranks {bucket[0]['b_noise']} "
          f"[{bucket[0]['b_noise_lo']} to {bucket[0]['b_noise_hi']}]")
    print(f"{name}: B_noise by samples {shown['b_noise']:.4g}, by ranks {of_ranks:.4g}")


def test(args):
    fakes = os.path.join(args.build, "fakes")
    if not os.path.exists(os.path.join(fakes, "libnccl.so.2")):
        print("gpu_ranks_torch: left out, this build has no fakes")
        raise SystemExit(77)
    with common.Bench(args) as bench:
        bench.env.update(LD_LIBRARY_PATH=fakes, GNS_FAKE_ANY="1", GNS_FAKE_SYNC="1")
        two_sources(bench, "once", 1)
        two_sources(bench, "accumulated", 2)
        store = train(bench, "every-micro", "--accumulate", "2", "--every-micro")
        check(not norms(store, "rank"), "the accumulated gradient was measured as if it were fresh")
        check(counted(store, "every_micro_step"), "no counter says why nothing is measured")


if __name__ == "__main__":
    a = common.arguments(__doc__.splitlines()[0]).parse_args()
    common.main(lambda: test(a))
