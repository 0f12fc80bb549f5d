#!/usr/bin/python3
"""Ranks of a trainer on cuBLAS and NCCL: the steps are the products', the last reduction of a step comes after its last product.

tests/programs/gpu_ranks_mlp takes the mean (or the sum) of the gradients that its products left. Two collectors see each gradient: the norm of a
product's own output and the norm of what is sent must agree, on every rank and in every step that both measured. With --tensor a second
communicator sums activations, some of the very sizes of the gradients: they must be in no number.
"""
import os

import common
from common import check
from gpu_ranks_torch import near, norms, pooled

STEPS, ROWS = 60, 64
LEARNT = 30  # by then either collector knows the step, whatever the processor's other work; before, a rank may begin some steps later
CASES = {
    "avg": "",
    "sum-4": "--sum --world 4",
    "accumulate": "--accumulate 3",
    "tensor": "--tensor",
    "tensor-sum": "--tensor --sum",
}


def one(bench, args, name):
    options = CASES[name].split()
    program = [os.path.join(args.build, "bin", "gpu_ranks_mlp"), "--steps", str(STEPS), "--rows", str(ROWS), *options]
    store, world = bench.path(f"{name}.db"), int(options[options.index("--world") + 1]) if "--world" in options else 2
    batch = ROWS * (int(options[options.index("--accumulate") + 1]) if "--accumulate" in options else 1)
    alone = bench.must(program)
    under = bench.must(bench.gns_run(store, "--every", "1", "--samples", str(ROWS), "--", *program))
    check(sorted(alone.stdout.split("\n")) == sorted(under.stdout.split("\n")), f"other weights under gnscope:\n{alone.stdout}{under.stdout}")
    rank, gemm = norms(store, "rank"), norms(store, "gemm")
    both = sorted(step for step in range(1, STEPS + 1) if all((step, who) in norms for norms in (rank, gemm) for who in range(world)))
    check(len(both) >= STEPS / 2, f"only {len(both)} of {STEPS} steps measured by both collectors on all ranks")
    check(set(range(LEARNT, STEPS - 2)) <= set(both), f"a step is missing between others: {both}")
    for step, who in ((step, who) for step in both for who in range(world)):
        row = rank[step, who]
        what = f"{name}, step {step}, rank {who}"
        check((row["n_small"], row["n_big"]) == (batch, batch * world), f"{what}: {row['n_small']}, {row['n_big']}")
        near(row["q_small"], gemm[step, who]["q_big"], 1e-5, f"{what}: norm of the rank's gradient")
        near(row["q_big"], rank[step, 0]["q_big"], 1e-9, f"{what}: the reduced gradient is one")
    buckets = common.query(store, "SELECT count(*) AS n, sum(numel) AS numel FROM param WHERE bucket")[0]
    check((buckets["n"], buckets["numel"]) == (2, 5120), f"buckets: {buckets}")
    shown = bench.show(store)
    check(shown["sources"] == ["gemm", "rank"] and shown["coverage"] == 1, f"{shown['sources']}, coverage {shown['coverage']}")
    check("several_trainers" not in [w["name"] for w in shown["warnings"]], "a rank is not known as one")
    of_ranks = pooled((batch, batch * world, sum(rank[s, w]["q_small"] for w in range(world)) / world, rank[s, 0]["q_big"]) for s in both)
    of_samples = pooled((1, batch, sum(gemm[s, w]["q_small"] for w in range(world)) / world, sum(gemm[s, w]["q_big"] for w in range(world)) / world)
                        for s in both)
    check(0.6 < of_ranks / of_samples < 1.6, f"B_noise {of_ranks} by ranks, {of_samples} by samples")
    print(f"{name}: {len(both)} steps, B_noise by samples {of_samples:.4g}, by ranks {of_ranks:.4g}")


def test(args):
    if not os.path.exists(os.path.join(args.build, "bin", "gpu_ranks_mlp")):
        print("gpu_ranks_products: left out, this build has no fakes")
        raise SystemExit(77)
    with common.Bench(args) as bench:
        bench.env["LD_LIBRARY_PATH"] = os.path.join(args.build, "fakes")
        for name in args.case or CASES:
            one(bench, args, name)


if __name__ == "__main__":
    p = common.arguments(__doc__.splitlines()[0])
    p.add_argument("case", nargs="*", choices=[*CASES, []])
    a = p.parse_args()
    common.main(lambda: test(a))
