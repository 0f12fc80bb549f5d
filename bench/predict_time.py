#!/usr/bin/python3
"""Step time and time to a target, predicted from a run at one batch before they are measured at others.

For each example: `gnscope run` at one batch, `gnscope advise --json` for a quarter, half, twice and four times that batch, and only then the
trainings there, without gnscope. With --target also the time to a loss: the steps that `advise` predicts with the learning rate that it gives
(the rule "noise" for SGD, "square root" for Adam), times the step time it predicts, against steps and step time as they were. Prints a Markdown section; --write puts
it between its marks in docs/validation.md. Run it on an otherwise idle machine: about 4 minutes, with --target about 8 more a seed. On a busy one --cpu compares
processor time on one thread, where predicted is the ratio to the batch of the run.
"""
import argparse
import json
import math
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import textwrap

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"
MARKS = ("<!-- predict_time.py begins -->", "<!-- predict_time.py ends -->")
FACTORS = (0.25, 0.5, 2, 4)
# batch, steps of a timed run at it, the batch option, steps of the run that is trained to a target, its optimizer's rule
EXAMPLES = {
    "fashion_mnist": (128, 400, "--batch-size", 1500, "noise"),
    "char_lm": (32, 24, "--batch-size", 60, "square root"),
    "mlp": (128, 600, "--batch", 1500, "noise"),
}
LR = {"mlp": 0.02}  # what no collector tells


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("example", nargs="*", help=f"of {', '.join(EXAMPLES)} (default: all)")
    p.add_argument("--build", default=os.path.join(ROOT, "build"))
    p.add_argument("--rounds", type=int, default=3, help="of each timing; the quickest counts (default: %(default)s)")
    p.add_argument("--cpu", action="store_true", help="processor time, one thread: for a machine that others use")
    p.add_argument("--target", action="store_true", help="time to a loss, too")
    p.add_argument("--seeds", type=int, default=2, help="of the trainings to a loss (default: %(default)s)")
    p.add_argument("--write", action="store_true", help="into docs/validation.md")
    args = p.parse_args()
    for name in args.example:
        if name not in EXAMPLES:
            p.error(f"{name} is none of {', '.join(EXAMPLES)}")
    if args.cpu:
        os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    args.gnscope = os.path.join(args.build, "bin", "gnscope")
    return args


def run(words):
    env = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_") and k != "LD_PRELOAD"}
    done = subprocess.run([str(w) for w in words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} ended with status {done.returncode}:\n{done.stderr}")
    return done.stdout


def trainer(args, name, batch, steps, *more):
    words = [os.path.join(args.build, "bin", "mlp")] if name == "mlp" else [PYTHON, os.path.join(ROOT, "examples", name + ".py")]
    epochs = [] if name == "mlp" else ["--epochs", 1000]
    return words + [EXAMPLES[name][2], batch, "--steps", steps, "--log-every", 0, *epochs, *more]


def timed(args, name, batch, folder):
    """Median step of a plain run, ms."""
    steps = max(8, round(EXAMPLES[name][1] * min(2, EXAMPLES[name][0] / batch)))
    if args.cpu:
        few = max(1, steps // 8)
        return (processor_ms(trainer(args, name, batch, steps + few)) - processor_ms(trainer(args, name, batch, few))) / steps
    path = os.path.join(folder, "times")
    run(trainer(args, name, batch, steps, "--times", path))
    with open(path) as f:
        return statistics.median(float(line) for line in f)


def processor_ms(words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def advise(args, store, *words):
    return json.loads(run([args.gnscope, "advise", "--store", store, "--json", *words]))


def predict(args, name, folder):
    """Of several runs the calmest one: its rows, before anything is measured elsewhere."""
    batch, steps = EXAMPLES[name][:2]
    answers = []
    for r in range(args.rounds):
        store = os.path.join(folder, f"{name}-{r}.db")
        run([args.gnscope, "run", "--store", store, "--samples", batch, "--every", 8, "--", *trainer(args, name, batch, steps)])
        answers.append(advise(args, store))
    calm = min(answers, key=lambda a: next(r["step_ms"] for r in a["rows"] if r["now"]))
    return {r["batch"] / batch: r for r in calm["rows"]}, calm["step_time"]


def measure(args, name, folder):
    batch = EXAMPLES[name][0]
    best = {f: math.inf for f in (1, *FACTORS)}
    for _ in range(args.rounds):
        for f in best:
            best[f] = min(best[f], timed(args, name, round(batch * f), folder))
    return best


def off(got, want):
    return 100 * (got / want - 1)


def step_times(args, name, folder, lines):
    rows, model = predict(args, name, folder)
    measured = measure(args, name, folder)
    batch, errors, held = EXAMPLES[name][0], [], 0
    if args.cpu:
        scale = measured[1] / rows[1]["step_ms"]
        rows = {f: {**r, **{k: r[k] * scale for k in ("step_ms", "step_ms_lo", "step_ms_hi")}} for f, r in rows.items()}
    for f in FACTORS:
        r = rows[f]
        errors.append(abs(off(r["step_ms"], measured[f])))
        held += r["step_ms_lo"] <= measured[f] <= r["step_ms_hi"]
        lines.append(f"| {name} | {batch} | {round(batch * f)} | {r['step_ms']:.3g} [{r['step_ms_lo']:.3g} to {r['step_ms_hi']:.3g}] | {measured[f]:.3g} "
                     f"| {off(r['step_ms'], measured[f]):+.0f}% |")
        print(lines[-1], file=sys.stderr, flush=True)
    fixed = model["alpha_ms"] / (model["alpha_ms"] + batch * model["beta_ms"])
    slope = (measured[4] - measured[0.25]) / 3.75
    said = f"{name}: fixed {100 * fixed:.0f}% of the step as predicted, {100 * (1 - slope / measured[1]):.0f}% as measured; {held} of 4 in the range"
    return errors, said, rows, measured


# ---- time to a target ----

LOSS = ["--loss-regex", "loss ([0-9.e+-]+)"]


def train(args, name, batch, steps, seed, every, folder, *more):
    store = os.path.join(folder, "train.db")
    if os.path.exists(store):
        os.unlink(store)
    words = trainer(args, name, batch, steps, "--seed", seed, *more)
    words[words.index("--log-every") + 1] = 1
    run([args.gnscope, "run", "--store", store, "--samples", batch, "--every", every, *LOSS, "--", *words])
    return store


def to_target(args, name, folder, rows, measured, lines):
    batch, _, _, steps, rule = EXAMPLES[name]
    store = train(args, name, batch, steps, 0, 1, folder)
    window = json.loads(run([args.gnscope, "sql", "--store", store, "--json", f"select loss from step where loss is not null and step between {steps // 2} and "
                             f"{round(steps * 0.7)}"]))
    target = round(statistics.fmean(r["loss"] for r in window), 4)
    base = advise(args, store, "--target-loss", target)
    plan = {f: advise(args, store, "--target-loss", target, "--batch", round(batch * f)) for f in FACTORS}
    errors = []
    for f in FACTORS:
        row = next(r for r in plan[f]["rows"] if r["batch"] == round(batch * f))
        lr = next(r for r in plan[f]["rules"] if r["what"] == "lr" and r["rule"] == rule)
        value = lr["factor"] and lr["factor"] * (lr["now"] or LR[name])
        if row["steps"] is None or value is None:
            lines.append(f"| {name}, loss {target:g} | {round(batch * f)} | unresolved | | | |")
            continue
        taken = []
        for seed in range(1, args.seeds + 1):
            other = train(args, name, round(batch * f), round(2.5 * row["steps"] + 50), seed, 1000000, folder, "--lr", f"{value:.6g}")
            taken.append(advise_steps(args, other, target))
        if None in taken:
            lines.append(f"| {name}, loss {target:g} | {round(batch * f)} | {row['steps']:.0f} steps | not reached in {round(2.5 * row['steps'] + 50)} | | |")
            errors.append(math.inf)
            continue
        got = statistics.geometric_mean(taken)
        predicted, real = row["steps"] * rows[f]["step_ms"] / 1e3, got * measured[f] / 1e3
        errors.append(abs(off(predicted, real)))
        lines.append(f"| {name}, loss {target:g} | {round(batch * f)} | {row['steps']:.0f} steps, {predicted:.3g} s | {got:.0f} steps, {real:.3g} s "
                     f"| {off(row['steps'], got):+.0f}% | {off(predicted, real):+.0f}% |")
        print(lines[-1], file=sys.stderr, flush=True)
    return errors, f"{name}: {base['target_steps']:.0f} steps at batch {batch}, B_crit of that run {base['b_crit'] or math.nan:.3g}"


def advise_steps(args, store, target):
    """Steps to the target of a run that measured nothing: the crossing alone, by `fit`'s reading of one run."""
    rows = json.loads(run([args.gnscope, "sql", "--store", store, "--json", "select step, loss from step where loss is not null order by step"]))
    return crossing([r["step"] for r in rows], [r["loss"] for r in rows], target)


def crossing(steps, losses, target, window=1.5, least=8):
    """include/gnscope/crossing.h in a few lines."""
    last = before = None
    lo = 0
    for hi in range(least - 1, len(steps)):
        while steps[lo] < steps[hi] / window and hi - lo >= least:
            lo += 1
        x = [math.log(s) for s in steps[lo:hi + 1]]
        y = losses[lo:hi + 1]
        mx, my = statistics.fmean(x), statistics.fmean(y)
        slope = sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)
        centre = (x[0] + x[-1]) / 2
        value = my + slope * (centre - mx)
        if value <= target:
            share = 1 if last is None else (last - target) / (last - value)
            return math.exp(centre if last is None else before + share * (centre - before))
        last, before = value, centre
    return None


def write(text):
    path = os.path.join(ROOT, "docs", "validation.md")
    page = open(path).read()
    block = f"{MARKS[0]}\n{text}{MARKS[1]}\n"
    if MARKS[0] in page:
        page = re.sub(re.escape(MARKS[0]) + ".*" + re.escape(MARKS[1]) + "\n", lambda _: block, page, flags=re.S)
    else:
        page = page.rstrip("\n") + "\n\n" + block
    open(path, "w").write(page)


def median_of(errors):
    return f"median error {statistics.median(errors):.0f}%, largest {max(errors):.0f}%"


def main():
    args = parse_args()
    start = os.getloadavg()[0]
    steps, targets, said, all_errors, all_times = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="gnscope-bench-") as folder:
        for name in args.example or EXAMPLES:
            errors, words, rows, measured = step_times(args, name, folder, steps)
            said.append(words)
            all_errors += errors
            if args.target:
                errors, words = to_target(args, name, folder, rows, measured, targets)
                said.append(words)
                all_times += errors
    out = ["## Step time, predicted before it is measured", "",
           f"`bench/predict_time.py{' --cpu' * args.cpu}{' --target' * args.target}`: from a run at one batch ([steptime.md](reference/steptime.md)); ms a step, the range the model allows in brackets. "
           f"Measured: {'processor time of plain runs on one thread, the least' if args.cpu else 'medians of plain runs, the quickest'} of {args.rounds}. {len(os.sched_getaffinity(0))} cores, {platform.machine()}, load "
           f"{start:.1f} at the start, {os.getloadavg()[0]:.1f} at the end.", "",
           "| example | batch of the run | batch | predicted | measured | off by |", "|---|---|---|---|---|---|", *steps, "",
           f"Step time: {median_of(all_errors)}; wanted: a median of at most 15%.", ""]
    if args.target:
        out += ["| example | batch | predicted | measured | steps off by | time off by |", "|---|---|---|---|---|---|", *targets, "",
                f"Time to target: {median_of(all_times) if all_times else 'nothing was resolved'}; wanted: a median of at most 25%. Learning rates by `advise`'s rules, {args.seeds} seeds.", ""]
    out += [*(f"- {words}." for words in said), ""]
    text = "\n".join(line if line.startswith(("|", "#")) else textwrap.fill(line, 120, break_long_words=False, break_on_hyphens=False)
                     for line in out) + "\n"
    print(text)
    if args.write:
        write(text)


if __name__ == "__main__":
    main()
