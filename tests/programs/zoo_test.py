#!/usr/bin/python3
"""Runs the zoo under the shim in every way it can behave and compares what arrives with what the zoo says is true.

    zoo_test.py LIBRARY WATCH ZOO_FLOAT ZOO_DOUBLE
"""
import os
import re
import subprocess
import sys
import tempfile

LIBRARY, WATCH, ZOO = sys.argv[1], sys.argv[2], {"float": sys.argv[3], "double": sys.argv[4]}
passed = failed = 0


def run(options, env=None, real="float", samples=True):
    """Returns (records by kind, truths by (step, weight), output under the shim, output without it)."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_")}
    plain = subprocess.run([ZOO[real], *options], env=environ, capture_output=True, text=True, check=True)
    environ.update({"GNSCOPE_EVERY": "1"})
    n = next((o.split("=")[1] for o in options if o.startswith("samples=")), "8")
    if samples:
        environ["GNSCOPE_SAMPLES"] = n
    environ.update(env or {})
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "records")
        shimmed = subprocess.run([WATCH, LIBRARY, log, ZOO[real], *options], env=environ, capture_output=True, text=True)
        lines = open(log).read().splitlines()
    if shimmed.returncode or shimmed.stderr:
        raise AssertionError(f"status {shimmed.returncode}, stderr {shimmed.stderr!r}")
    records = {}
    for line in lines:
        _, kind, rest = line.split(" ", 2)
        records.setdefault(kind, []).append(dict(re.findall(r"(\w+)=((?:(?! \w+=).)*)", rest)))
    truths = {}
    for line in shimmed.stdout.splitlines():
        if line.startswith("TRUTH"):
            _, step, weight, n, small, big = line.split()
            truths[int(step), int(weight)] = (int(n), float(small), float(big))
    return records, truths, shimmed.stdout, plain.stdout


def grads(records):
    return {(int(g["step"]), int(g["param"])): g for g in records.get("GRAD", [])}


def check(options, *, weights=None, first=3, env=None, real="float", left_out=(), noise=None, shift=0):
    """Every step from `first` (None: at latest half-way) on is measured, every weight in it, and equals the truth."""
    records, truths, with_shim, without = run(options, env, real)
    assert with_shim == without, "the program's output changed"
    found = grads(records)
    last = max(step for step, _ in truths)
    if shift is None:  # learning took steps that were not counted
        shift = last - max(step for step, _ in found)
    last -= shift
    weights = weights or sorted({w for _, w in truths})
    first = first or min(step for step, _ in found)
    assert first <= last // 2, f"first measured step {first}"
    expected = {(step, weights.index(w) + 1) for step in range(first, last + 1) for w in weights if w not in left_out}
    assert set(found) == expected, f"measured {sorted(found)[:9]}..., expected {sorted(expected)[:9]}..."
    ratio = {}
    for (step, param), g in found.items():
        n, small, big = truths[step + shift, weights[param - 1]]
        assert int(g["n_small"]) == 1 and int(g["n_big"]) == n, g
        tolerance = 1e-4 if real == "float" else 1e-9
        assert abs(float(g["q_big"]) - big) <= tolerance * big, f"q_big {g} truth {big}"
        if noise:
            ratio.setdefault(param, []).append(float(g["q_small"]) / small)
        else:
            assert abs(float(g["q_small"]) - small) <= tolerance * small, f"q_small {g} truth {small}"
    for param, values in ratio.items():
        mean = sum(values) / len(values)
        assert abs(mean - 1) < noise, f"sketch of weight {param}: mean ratio {mean}"
    return records


def case(name, function):
    global passed, failed
    try:
        function()
        passed += 1
    except (AssertionError, KeyError, ValueError, subprocess.CalledProcessError) as error:
        failed += 1
        print(f"FAILED {name}: {error}")


def tied():
    records = check(["tied", "steps=10"], weights=[0, 1], left_out=(1,), first=3)
    assert any(p["excluded"] == "1" and p["rows"] == p["cols"] == "20" for p in records["PARAM"]), records["PARAM"]
    assert any(e["name"] == "tied_weight" for e in records["EVENT"]), records.get("EVENT")


def not_dividing():
    records, _, with_shim, without = run(["samples=8"], {"GNSCOPE_SAMPLES": "3"})
    assert with_shim == without and "GRAD" not in records
    assert all(int(s["flags"]) & 2 for s in records["STEP"] if int(s["step"]) > 2), records["STEP"]
    assert any(c["name"] == "samples_not_dividing" and int(c["value"]) >= 5 for c in records["COUNTER"]), records["COUNTER"]


def rows_as_samples():
    records, truths, _, _ = run(["rows_per_sample=1"], samples=False)
    assert records["PROC"][0]["unit"] == "0", records["PROC"]
    assert set(grads(records)) == {(s, w) for s in range(3, 9) for w in (1, 2, 3)}


def one_sample():
    records, _, _, _ = run(["samples=1", "rows_per_sample=4"])
    assert "GRAD" not in records and any(c["name"] == "one_sample" for c in records["COUNTER"]), records["COUNTER"]


def micro_steps():
    for how in (["accumulate=3"], ["accumulate=3", "beta"], ["accumulate=2", "beta=2"]):
        records = check([*how, "steps=8", "eval"], first=None)
        times = how[0].split("=")[1]
        assert all(s["micro"] == times for s in records["STEP"] if int(s["flags"]) & 1), records["STEP"]
        assert all(int(g["groups"]) == 8 * int(times) for g in records["GRAD"])


def marks():
    records = check(["marks", "named", "steps=8"], env={"GNSCOPE_SAMPLES": ""}, first=3)
    assert {p["name"] for p in records["PARAM"]} == {"zoo0", "zoo1", "zoo2"}, records["PARAM"]
    assert len(records["LOSS"]) >= 6 and records["PROC"][-1]["samples"] == "8"
    losses = {int(s): float.fromhex(v) for s, v in re.findall(r"LOSS (\d+) (\S+)", run(["marks", "steps=8"])[2])}
    # The first comes before the first gns_step: nothing says yet that steps are marked.
    assert [int(r["step"]) for r in records["LOSS"]] == list(range(2, 9)), records["LOSS"]
    for record in records["LOSS"]:
        assert float(record["loss"]) == losses[int(record["step"])], (record, losses)


def every_third():
    records, _, _, _ = run(["steps=12"], {"GNSCOPE_EVERY": "3"})
    assert sorted({int(g["step"]) for g in records["GRAD"]}) == [3, 6, 9, 12], sorted({int(g["step"]) for g in records["GRAD"]})
    assert len(records["STEP"]) == 12


def budget():
    """The account is kept: after the first gifts steps are measured only as the budget allows."""
    records, _, with_shim, without = run(["steps=400", "samples=64", "rows_per_sample=8"], {"GNSCOPE_EVERY": "", "GNSCOPE_BUDGET": "10"})
    assert with_shim == without
    measured = sum(int(s["flags"]) & 1 for s in records["STEP"])
    assert 3 <= measured < 400 and len(records["STEP"]) == 400, measured
    startup = [int(s["step"]) for s in records["STEP"] if int(s["flags"]) & 4]
    first = min(int(s["step"]) for s in records["STEP"] if int(s["flags"]) & 1)
    assert first > 1 and set(range(1, first)) <= set(startup), "the steps before the weights were known"
    assert startup == list(range(1, len(startup) + 1)) and len(startup) < 20, f"until no more weights are looked for: {startup}"


def bad_settings():
    records, _, with_shim, without = run(["steps=6"], {"GNSCOPE_BUDGET": "lots", "GNSCOPE_PROBES": "-1"})
    assert with_shim == without and any(e["name"] == "bad_setting" for e in records["EVENT"])


for real in ("float", "double"):
    for api in ("row", "col", "fortran"):
        for layout in ([], ["weight_io"]):
            for extra in ([], ["pad=5"], ["fresh"], ["wgrad_first"], ["first_dx"], ["rows_per_sample=2", "pad=1"]):
                options = [f"api={api}", *layout, *extra]
                case(f"{real} {options}", lambda: check(options, real=real))
        # features x rows is only tried once the usual order has come to nothing
        case(f"{real} {api} feature_major",
             lambda: check([f"api={api}", "feature_major", "steps=40", "pad=3"], real=real, first=None, shift=None))
FULL = ["full_batch", "sigmoid"]
for options in (FULL, [*FULL, "fresh"], [*FULL, "first_dx"], [*FULL, "wgrad_first"], ["sigmoid"], ["shared"], ["shared", "wgrad_first"],
                ["shared", "first_dx"], ["eval"], ["eval", "fresh"], ["layers=1"], ["layers=1", "full_batch"], ["layers=8"],
                ["beta=2", "pad=2"], ["scaled"]):
    case(str(options), lambda: check(options, weights=[0, 3, 1, 2] if "shared" in options else None,
                                     first=None if "layers=1" in options else 3))
case("weights updated by the product itself", lambda: check(["fused", "steps=10"], first=3))
# a step that changes nothing cannot be told from a micro-step: it joins the next
case("first step without a change", lambda: check(["lr0", "steps=10"], first=None, shift=1))
case("input copied between the passes", lambda: check(["copy_x", "first_dx", "steps=10"], first=None))
case("sketch", lambda: check(["rows_per_sample=64", "steps=200", "samples=16"], noise=0.03))
case("sketch, double", lambda: check(["rows_per_sample=64", "steps=200", "samples=16"], noise=0.03, real="double"))
for function in (tied, not_dividing, rows_as_samples, one_sample, micro_steps, marks, every_third, budget, bad_settings):
    case(function.__name__, function)
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
