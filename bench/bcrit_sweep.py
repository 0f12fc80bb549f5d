#!/usr/bin/python3
"""B_crit measured against B_noise seen: the Fashion-MNIST MLP at nine batch sizes to one training loss.

Runs `gnscope sweep` (again: goes on where it was), fits with `gnscope fit`, takes B_noise out of the very same trainings, and prints a Markdown
section; --write puts it between its marks in docs/validation.md and draws docs/img/bcrit_vs_bnoise.svg. About 25 minutes on two cores.
"""
import argparse
import json
import math
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import textwrap

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = "fashion-mnist-mlp"
TARGET = 0.4
BATCHES = "8,16,32,64,128,256,512,1024,2048"
RATES = "0.4,0.25,0.64,0.16,1.0"  # eps_max of eps_max / (1 + B_noise/B), McCandlish et al. 2018, eq. 2.6
NOISE = 100                       # the B_noise of that rule, from one short run
OTHER_TARGETS = (0.7, 0.6, 0.5, 0.45)
BINS = 10
TABLE_1 = (("MNIST", 900, 200), ("SVHN", 4e3, 500), ("CIFAR10", 2e3, 900), ("ImageNet", 30e3, 15e3),
           ("Billion Word, tokens", 150e3, 100e3), ("SVHN autoencoder", 2, 40))  # B_simple, B_crit, run averages
MARKS = ("<!-- bcrit_sweep.py begins -->", "<!-- bcrit_sweep.py ends -->")


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=os.path.join(ROOT, "build"))
    p.add_argument("--store", default=None, help="default: BUILD/bcrit_sweep.db")
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--python", default="/usr/bin/python3", help="a Python with PyTorch")
    p.add_argument("--write", action="store_true", help="into docs/")
    args = p.parse_args()
    args.gnscope = os.path.join(args.build, "bin", "gnscope")
    args.store = args.store or os.path.join(args.build, "bcrit_sweep.db")
    return args


def gnscope(args, *words, **kw):
    done = subprocess.run([args.gnscope, *map(str, words)], stdout=subprocess.PIPE, text=True, **kw)
    if done.returncode:
        sys.exit(f"gnscope {' '.join(map(str, words))} ended with status {done.returncode}")
    return done.stdout


def sweep(args):
    env = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_")}
    env["OMP_NUM_THREADS"] = "1"
    script = os.path.join(ROOT, "examples", "fashion_mnist.py")
    out = gnscope(args, "sweep", "--store", args.store, "--name", NAME, "--batch", BATCHES, "--target-loss", TARGET, "--seeds", args.seeds,
                  "--lr", RATES, "--lr-rule", f"noise:{NOISE}", "--window", 2, "--max-samples", 3000000, "--jobs", args.jobs, "--every", 1,
                  "--loss-regex", "loss ([0-9.e+-]+)", "--step-regex", "step ([0-9]+)", "--json", "--",
                  args.python, script, "--batch-size", "{batch}", "--lr", "{lr}", "--seed", "{seed}", "--log-every", 1, "--epochs", 1000,
                  env=env)
    return json.loads(out)


def best_points(points, fit):
    """Of each batch the trainings at the learning rate that the fit took."""
    return {int(b["batch"]): [p for p in points if p["batch"] == b["batch"] and p["reached"] and math.isclose(p["lr"], b["lr"])] for b in fit["batches"]}


def noise_along(db, points):
    """B_noise of `BINS` equal stretches of the way to the target, the seeds pooled: sums of s over sums of g2."""
    s, g2, q = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
    for p in points:
        rows = np.array(db.execute("SELECT step, s, g2, q_big FROM step_total WHERE run_id=? AND step<=?", (p["run"], p["steps"])).fetchall())
        at = np.minimum((rows[:, 0] / p["steps"] * BINS).astype(int), BINS - 1)
        for total, column in ((s, 1), (g2, 2), (q, 3)):
            total += np.bincount(at, rows[:, column] / p["steps"], BINS)
    curve = s / g2
    return {"curve": curve, "pooled": s.sum() / g2.sum(), "mean": curve.mean(), "start": curve[0], "end": curve[-2:].mean(),
            "e_over_s": (s / q).sum() / (g2 / q).sum()}


def fit_at(args, best, target):
    """The fit to another loss, from the same trainings; None where a run had reached it before it could be judged, or the like."""
    runs = [p["run"] for ps in best.values() for p in ps]
    done = subprocess.run([args.gnscope, "fit", "--store", args.store, "--target-loss", str(target), "--json", *map(str, runs)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def number(x, digits=3):
    if x is None or not math.isfinite(x):
        return "-"
    if x >= 1000:
        return f"{round(x, -int(math.floor(math.log10(x))) + digits - 1):,.0f}"
    return f"{x:.{digits}g}"


def spread(values):
    return f"{statistics.mean(values):,.0f} +- {statistics.stdev(values):,.0f}" if len(values) > 1 else f"{values[0]:,.0f}"


def interval(fit, key):
    return f"{number(fit[key])} [{number(fit.get(key + '_lo'))} to {number(fit.get(key + '_hi'))}]"


def section(args, result, fit, best, noise, others, device):
    points = result["points"]
    seconds = sum(p["seconds"] or 0 for p in points)
    at = min(best, key=lambda b: abs(math.log(b / fit["b_crit"])))
    means = [n["mean"] for n in noise.values()]
    out = ["## B_crit against B_noise on real data", ""]
    out += [f"`bench/bcrit_sweep.py`: the MLP of examples/fashion_mnist.py (784-512-512-10, plain SGD, constant learning rate) trained at {len(best)} batch "
            f"sizes to a training loss of {TARGET:g}, smoothed as [sweep.md](guides/sweep.md) says with a window of 2. Learning rates "
            f"{RATES.replace(',', ', ')}, each over 1 + {NOISE}/B, tried with seed 0, the quickest with seeds 1 to {args.seeds - 1}, too: {len(points)} trainings, "
            f"{seconds / 60:.0f} minutes of them, {args.jobs} at a time, a thread each. Every step measured.", ""]
    out += ["![Samples against steps, and B_noise along the way](img/bcrit_vs_bnoise.svg)", ""]
    out += ["| batch | learning rate | steps, mean +- sd of seeds | samples | law | B_noise, mean of the way | of the first 10% | of the last 20% | pooled, sum S / sum G2 | "
            "E_min/S_min of the run |", "|---|---|---|---|---|---|---|---|---|---|"]
    for b, ps in best.items():
        steps, n = [p["steps"] for p in ps], noise[b]
        law = fit["s_min"] + fit["e_min"] / b
        out.append(f"| {b:,} | {ps[0]['lr']:.3g} | {spread(steps)} | {number(b * statistics.mean(steps))} | {100 * (statistics.mean(steps) / law - 1):+.0f}% | "
                   f"{number(n['mean'])} | {number(n['start'])} | {number(n['end'])} | {number(n['pooled'])} | {number(n['e_over_s'])} |")
    n = noise[at]
    ratio = n["mean"] / fit["b_crit"]
    out += ["", f"**B_crit {interval(fit, 'b_crit')} samples** (95%; S_min {number(fit['s_min'])} steps, E_min {number(fit['e_min'])} samples; `gnscope fit`). The "
            f"column \"law\" is how far the steps are from S_min + E_min/B. Run-average B_noise at batch {at}, the nearest: **{number(n['mean'])} samples**; over "
            f"all batches {number(min(means))} to {number(max(means))}. **B_noise / B_crit = {ratio:.2f}**"
            + (f" [{n['mean'] / fit['b_crit_hi']:.2f} to {n['mean'] / fit['b_crit_lo']:.2f}]" if fit.get("b_crit_hi") and fit.get("b_crit_lo") else "")
            + f". What gnscope calls B_crit of the run, E_min/S_min along it, is {number(n['e_over_s'])} there, {n['e_over_s'] / fit['b_crit']:.2f} of the measured one."]
    off = {b: statistics.mean(p["steps"] for p in ps) / (fit["s_min"] + fit["e_min"] / b) - 1 for b, ps in best.items()}
    least, most = min(off, key=off.get), max(off, key=off.get)
    out += ["", f"The steps lie within {100 * max(-off[least], off[most]):.0f}% of the law, from {100 * off[least]:+.0f}% at batch {least} to {100 * off[most]:+.0f}% at "
            f"batch {most}" + (f"; seeds scatter less than that (p = {fit['fit_p']:.1g}), so the law holds roughly here, not exactly, and the limits rest on the "
                              "scatter of batches about it." if fit["law_fails"] else ".")]
    out += ["", "Beside Table 1 of McCandlish et al. (2018), run averages:", "", "| | B_noise | B_crit | ratio |", "|---|---|---|---|"]
    out += [f"| {name} | {number(a)} | {number(b)} | {a / b:.2g} |" for name, a, b in TABLE_1]
    out += [f"| Fashion-MNIST MLP, here | {number(n['mean'])} | {number(fit['b_crit'])} | {ratio:.2f} |"]
    if others:
        out += ["", f"The same trainings to other losses (learning rates as tuned for {TARGET:g}): B_crit grows as the loss falls, and so does B_noise.", "",
                "| loss | S_min | E_min | B_crit | B_noise at that loss, batch " + str(at) + " |", "|---|---|---|---|---|"]
        out += [f"| {t:g} | {number(f['s_min'])} | {number(f['e_min'])} | {interval(f, 'b_crit')} | {number(b)} |" for t, f, b in others]
    out += ["", f"{device}"]
    return "\n".join(wrapped(line) for line in out) + "\n"


def wrapped(line):
    """Prose within 120 columns; tables and pictures as they are."""
    return line if line.startswith(("|", "!", "#")) else textwrap.fill(line, 120, break_long_words=False, break_on_hyphens=False)


def noise_at_loss(db, points, target):
    """Pooled over the steps whose run has a smoothed loss within 10% of the target: means of 50 steps."""
    s = g2 = 0.0
    for p in points:
        rows = np.array(db.execute("SELECT step, s, g2, loss FROM step_total WHERE run_id=? AND loss IS NOT NULL ORDER BY step", (p["run"],)).fetchall())
        if len(rows) < 60:
            continue
        width = max(20, len(rows) // 20)
        smooth = np.convolve(rows[:, 3], np.ones(width) / width, "same")
        near = np.abs(np.log(smooth / target)) < 0.1
        s, g2 = s + rows[near, 1].sum(), g2 + rows[near, 2].sum()
    return s / g2 if g2 > 0 else math.nan


# ---- the picture ----

INK = {"ground": ("#ffffff", "#0d1117"), "ink": ("#1f2328", "#e6edf3"), "soft": ("#656d76", "#9198a1"), "line": ("#d0d7de", "#30363d"),
       "a": ("#0969da", "#58a6ff"), "b": ("#bc4c00", "#f0883e")}  # light, dark
COLOURS = """ .ground { fill: ground } text { fill: ink } .soft { fill: soft } .grid { stroke: line } .law, .crit { stroke: a } .point, .band { fill: a }
 .asymptote { stroke: soft } .noise { stroke: b }"""
SHAPES = """ text { font: 13px system-ui, sans-serif } .soft { font-size: 12px } .title { font-weight: 600; font-size: 14px }
 .grid { stroke-width: 1 } .law, .noise { stroke-width: 2; fill: none } .asymptote { stroke-width: 1; stroke-dasharray: 4 4 }
 .band { opacity: 0.18 } .crit { stroke-width: 2; fill: none } .thin { stroke-width: 1; opacity: 0.45 }"""


def style():
    light, dark = (re.sub(r"(fill|stroke): (\w+)", lambda m: f"{m[1]}: {INK[m[2]][k]}", COLOURS) for k in (0, 1))
    return f"\n{SHAPES}\n{light}\n @media (prefers-color-scheme: dark) {{\n{dark}\n }}\n"


class Panel:
    def __init__(self, left, top, width, height, x, y):
        self.box, self.x, self.y, self.out = (left, top, width, height), x, y, []

    def px(self, v):
        lo, hi, log = self.x
        return self.box[0] + self.box[2] * ((math.log(v / lo) / math.log(hi / lo)) if log else (v - lo) / (hi - lo))

    def py(self, v):
        lo, hi, _ = self.y
        return self.box[1] + self.box[3] * (1 - math.log(v / lo) / math.log(hi / lo))

    def path(self, xs, ys, name):
        self.out.append(f'<path class="{name}" d="M' + " L".join(f"{self.px(a):.1f},{self.py(b):.1f}" for a, b in zip(xs, ys)) + '"/>')

    def text(self, x, y, words, name="", anchor="start"):
        self.out.append(f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>')

    def axes(self, title, xs, ys, xname, yname):
        left, top, width, height = self.box
        self.text(left, top - 28, title, "title")
        for v, words in xs:
            self.out.append(f'<path class="grid" d="M{self.px(v):.1f},{top} v{height}"/>')
            self.text(self.px(v), top + height + 18, words, "soft", "middle")
        for v in ys:
            self.out.append(f'<path class="grid" d="M{left},{self.py(v):.1f} h{width}"/>')
            self.text(left - 6, self.py(v) + 4, short(v), "soft", "end")
        self.text(left + width, top + height + 36, xname, "soft", "end")
        self.text(left, top - 10, yname, "soft")


def short(v):
    return f"{v / 1e6:g}M" if v >= 1e6 else f"{v / 1e3:g}k" if v >= 1e4 else f"{v:,.0f}"


def ticks(lo, hi):
    return [m * 10 ** e for e in range(0, 8) for m in (1, 2, 5) if lo <= m * 10 ** e <= hi]


def front(fit, best):
    steps = [p["steps"] for ps in best.values() for p in ps]
    samples = [p["samples"] for ps in best.values() for p in ps]
    xs, ys = (min(steps) * 0.7, max(steps) * 1.5, True), (min(samples) * 0.7, max(samples) * 1.5, True)
    p = Panel(64, 60, 380, 300, xs, ys)
    p.axes(f"To a training loss of {TARGET:g}", [(v, short(v)) for v in ticks(*xs[:2])], ticks(*ys[:2]), "steps", "samples")
    if fit["s_min"] > xs[0]:
        p.path([fit["s_min"]] * 2, ys[:2], "asymptote")
    if fit["e_min"] > ys[0]:
        p.path(xs[:2], [fit["e_min"]] * 2, "asymptote")
    curve = [fit["s_min"] * (1 + 10 ** (i / 40)) for i in range(-120, 121)]
    inside = [(s, s * fit["e_min"] / (s - fit["s_min"])) for s in curve]
    inside = [(s, e) for s, e in inside if xs[0] <= s <= xs[1] and ys[0] <= e <= ys[1]]
    p.path(*zip(*inside), "law")
    for b, ps in best.items():
        for q in ps:
            p.out.append(f'<circle class="point" cx="{p.px(q["steps"]):.1f}" cy="{p.py(q["samples"]):.1f}" r="3"/>')
        right = max(q["steps"] for q in ps)
        p.text(p.px(right) + 7, p.py(statistics.mean(q["samples"] for q in ps)) - 6, f"{b:,}")
    p.text(p.px(fit["s_min"] * 2) + 16, p.py(fit["e_min"] * 2) + 4, f"B_crit {number(fit['b_crit'])}", "title")
    p.out.append(f'<circle cx="{p.px(fit["s_min"] * 2):.1f}" cy="{p.py(fit["e_min"] * 2):.1f}" r="7" class="crit"/>')
    return p.out


def along(fit, noise, at):
    lo, hi = fit.get("b_crit_lo") or fit["b_crit"], fit.get("b_crit_hi") or fit["b_crit"]
    curves = [v for n in noise.values() for v in n["curve"] if v > 0]
    ys = (min(min(curves), lo) * 0.7, max(max(curves), hi) * 1.4, True)
    p = Panel(530, 60, 380, 300, (0, 100, False), ys)
    p.axes("B_noise along the same trainings", [(v, f"{v}%") for v in range(0, 101, 25)], ticks(*ys[:2]), "of the steps to the target", "samples")
    p.out.append(f'<rect class="band" x="530" y="{p.py(hi):.1f}" width="380" height="{p.py(lo) - p.py(hi):.1f}"/>')
    p.path((0, 100), [fit["b_crit"]] * 2, "crit")
    p.text(536, p.py(fit["b_crit"]) - 6, "B_crit measured, 95%")
    middle = [(i + 0.5) * 100 / BINS for i in range(BINS)]
    for b, n in noise.items():
        good = [(x, y) for x, y in zip(middle, n["curve"]) if y > 0]
        p.path(*zip(*good), "noise" if b == at else "noise thin")
    p.text(904, 350, f"B_noise, batch {at}; thin: the others", "", "end")
    return p.out


def picture(fit, best, noise, at):
    body = front(fit, best) + along(fit, noise, at)
    words = f"Samples against steps to a loss of {TARGET:g} at {len(best)} batch sizes with the fitted hyperbola, and B_noise along the same trainings"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 420" role="img" aria-label="{words}">\n<style>{style()}</style>\n'
            '<rect width="940" height="420" class="ground"/>\n' + "\n".join(body) + "\n</svg>\n")


def device():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown processor")
    return model


def put(path, text):
    with open(path) as f:
        page = f.read()
    block = f"{MARKS[0]}\n{text}{MARKS[1]}\n"
    if MARKS[0] in page:
        before, after = page.split(MARKS[0])[0], page.split(MARKS[1])[1].lstrip("\n")
        page = before + block + ("\n" + after if after else "")
    else:
        page = page.rstrip("\n") + "\n\n" + block
    with open(path, "w") as f:
        f.write(page)


def main():
    args = parse_args()
    result = sweep(args)
    fit = json.loads(gnscope(args, "fit", "--store", args.store, "--sweep", NAME, "--json"))
    best = best_points(result["points"], fit)
    with sqlite3.connect(f"file:{args.store}?mode=ro", uri=True) as db:
        noise = {b: noise_along(db, ps) for b, ps in best.items()}
        at = min(best, key=lambda b: abs(math.log(b / fit["b_crit"])))
        others = [(t, f, noise_at_loss(db, best[at], t)) for t in OTHER_TARGETS for f in [fit_at(args, best, t)] if f and f.get("b_crit")]
        when = db.execute("SELECT date(end_ns / 1000000000, 'unixepoch') FROM sweep WHERE name=?", (NAME,)).fetchone()[0]
    text = section(args, result, fit, best, noise, others, f"{when}, two cores of an {device()}, PyTorch 1.13, shared with other work: steps do not mind.")
    print(text)
    if args.write:
        put(os.path.join(ROOT, "docs", "validation.md"), text)
        os.makedirs(os.path.join(ROOT, "docs", "img"), exist_ok=True)
        with open(os.path.join(ROOT, "docs", "img", "bcrit_vs_bnoise.svg"), "w") as f:
            f.write(picture(fit, best, noise, at))


if __name__ == "__main__":
    main()
