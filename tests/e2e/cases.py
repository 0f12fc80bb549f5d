#!/usr/bin/python3
"""Peculiar trainers, each against the exact numbers it noted of its own gradients while it ran."""
import json
import os

import common
from common import PYTHON, check

STEPS = 60
FIRST = 3
CASES = ("plain", "double", "scaled", "summed", "evaluated", "gated", "tied", "numpy")
FACTOR = {"scaled": 1024.0 ** 2, "summed": 32.0 ** 2}


def run_case(bench, case, samples=32):
    store, notes = bench.path(f"{case}-{samples}.db"), bench.path(f"{case}-{samples}.json")
    words = [] if samples is None else ["--samples", samples]
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "small.py")
    bench.must(bench.gns_run(store, *words, "--every", 1, "--", PYTHON, script, case, STEPS, notes))
    return store, [json.loads(line) for line in open(notes)]


def weights(store):
    rows = common.query(store, "SELECT g.*, p.rows, p.cols, p.excluded FROM grad g JOIN param p USING (run_id, param_id)")
    steps = {}
    for row in rows:
        steps.setdefault(row["step"], []).append(row)
    return steps


def compare(case, store, notes, left_out=()):
    steps = weights(store)
    numbers = [r["step"] for r in common.query(store, "SELECT step FROM step ORDER BY step")]
    check(numbers in (list(range(1, STEPS)), list(range(1, STEPS + 1))), f"{case}: {STEPS} steps were made, seen: {numbers}")
    worst = 0.0
    for step in range(FIRST, len(numbers) + 1):
        exact = {n: v for n, v in notes[step - 1].items() if n not in left_out}
        got = sorted((r["rows"] * r["cols"], r["q_big"], r["q_small"], r["n_big"]) for r in steps.get(step, []))
        want = sorted((v[0] * v[1], v[4], v[3], v[2]) for v in exact.values())
        check(len(got) == len(want), f"{case}, step {step}: {len(got)} weights measured, {len(want)} expected: {sorted(exact)}")
        for (size, q_big, q_small, n), (size_, q_big_, q_small_, n_) in zip(got, want):
            check((size, n) == (size_, n_), f"{case}, step {step}: a weight of {size} elements and {n} samples, expected {size_}, {n_}")
            off = max(abs(q_big / q_big_ - 1), abs(q_small / q_small_ - 1))
            check(off < 1e-5, f"{case}, step {step}, weight of {size}: q_big {q_big}, exact {q_big_}; q_small {q_small}, exact {q_small_}")
            worst = max(worst, off)
    print(f"{case}: {len(numbers)} steps, {len(notes[0]) - len(left_out)} weights, q_big and q_small within {worst:.1e}")


def same_noise(bench, shown):
    """The loss's constant changes every q, and no B."""
    for case, factor in FACTOR.items():
        for key, by in (("b_noise", 1.0), ("b_crit", 1.0), ("s", factor)):
            a, b = shown[case][key], shown["plain"][key]
            check(a is not None and abs(a / (b * by) - 1) < 1e-5, f"{case}: {key} is {a}, plain {b}")
    print("loss x1024 and summed: the same b_noise and b_crit")


def samples_told(bench):
    """Samples that do not divide the rows are refused, with a reason; none told: rows, with a warning."""
    store, _ = run_case(bench, "plain", samples=20)
    got = bench.show(store)
    check(got["steps_measured"] == 0 and got["b_noise"] is None, f"32 rows of 20 samples were measured: {got}")
    refused = common.query(store, "SELECT count(*) AS n FROM step WHERE refused")[0]["n"]
    reasons = common.query(store, "SELECT name, value FROM collector WHERE name LIKE '%divid%' AND value > 0")
    check(refused >= STEPS - 4 and reasons, f"{refused} steps refused, reasons {reasons}")
    store, notes = run_case(bench, "plain", samples=None)
    got = bench.show(store)
    check(got["sample_unit"] == "rows", f"the unit is {got['sample_unit']}")
    names = [w["name"] if isinstance(w, dict) else w for w in got["warnings"]]
    check(any("rows" in n for n in names), f"no warning that rows are taken for samples: {got['warnings']}")
    print(f"samples that do not divide: {refused} steps refused, {reasons[0]}; none told: rows, and a warning")


def tied(bench):
    store, notes = run_case(bench, "tied")
    compare("tied", store, notes, left_out=("twice",))
    names = [w["name"] if isinstance(w, dict) else w for w in bench.show(store)["warnings"]]
    check(any("tied" in n for n in names), f"no warning of the weight used twice: {names}")


def test(args):
    with common.Bench(args, torch=False) as bench:
        shown = {}
        for case in args.case or CASES:
            if case == "tied":
                tied(bench)
                continue
            store, notes = run_case(bench, case)
            compare(case, store, notes)
            shown[case] = bench.show(store)
        if not args.case:
            same_noise(bench, shown)
            samples_told(bench)


if __name__ == "__main__":
    p = common.arguments(__doc__)
    p.add_argument("case", nargs="*")
    a = p.parse_args()
    common.main(lambda: test(a))
