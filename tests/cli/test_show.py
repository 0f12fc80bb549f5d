"""show: keys, types, nulls; the text; windows and layers."""
from harness import *

KEYS = ("run name command status steps steps_measured samples_per_step sample_unit sources coverage b_noise b_noise_lo b_noise_hi "
        "resolved s g2 b_crit b_crit_lo b_crit_hi step_ms overhead_pct startup_ms dropped optimizer lr loss verdict verdict_text trend warnings streams split phases devices device_kernels libraries "
        "kernel_times").split()
LAYER_KEYS = "name shape numel q_small q_big s g2 b_noise b_noise_lo b_noise_hi resolved share_s share_g2 source excluded left_out".split()
NUMBERS = "samples_per_step coverage b_noise b_noise_lo b_noise_hi s g2 b_crit b_crit_lo b_crit_hi step_ms overhead_pct lr loss".split()

run("--name", "known", "--samples", 64, "--", TRAINER, 400)
run("--name", "nothing", "--", "true")


@test
def the_keys_in_their_order():
    equal(list(show("known")), KEYS, "keys")
    equal(list(show("nothing")), KEYS, "keys of a run with nothing")
    equal(list(show("--layers", "known")), KEYS + ["layers"], "with layers")
    for layer in show("--layers", "known")["layers"]:
        equal(list(layer), LAYER_KEYS, "keys of a layer")


@test
def numbers_are_numbers():
    it = show("known")
    for key in NUMBERS:
        if it[key] is not None and type(it[key]) not in (int, float):
            raise AssertionError("%s: %r" % (key, it[key]))
    for key in ("run", "steps", "steps_measured", "dropped"):
        equal(type(it[key]), int, key)
    equal(type(it["resolved"]), bool, "resolved")
    equal(it["sources"], ["gemm"], "sources")
    equal(it["sample_unit"], "samples", "unit")


@test
def numbers_are_the_raw_ones():
    """Against sums over table grad, made here."""
    it = show("known")
    rows = query("select sum(q_small), sum(q_big), max(n_big) from grad join run using (run_id) where name='known' group by step")
    s = sum((a - b) / (1 - 1 / n) for a, b, n in rows) / len(rows)
    g2 = sum((n * b - a) / (n - 1) for a, b, n in rows) / len(rows)
    near(it["s"], s, 1e-12, "s")
    near(it["g2"], g2, 1e-12, "g2")
    near(it["b_noise"], s / g2, 1e-12, "b_noise")
    equal((it["steps"], it["steps_measured"], it["samples_per_step"]), (400, 400, 64), "steps and batch")
    near(it["coverage"], 1.0, 1e-12, "coverage")
    near(it["overhead_pct"], 0.5, 0.01, "overhead")


@test
def absent_numbers_are_null():
    it = show("nothing")
    for key in NUMBERS:
        equal(it[key], None, key)
    equal((it["steps"], it["steps_measured"], it["resolved"], it["sources"]), (0, 0, False, []), "the rest")


@test
def a_window_takes_the_last_steps():
    run("--name", "two", "--", TRAINER, 100, "noise=100")
    whole, last = show("known"), show("--window", "10", "known")
    near(last["b_noise"], 500, 1e-9, "window")
    equal(whole["b_noise"] is not None, True, "whole")
    for bad in ("0", "-1", "x"):
        one_sentence(gnscope("show", "--store", store, "--window", bad), 2, "not a whole number of steps", bad)


@test
def runs_by_id_name_and_newest():
    equal(show("known")["run"], 1, "by name")
    equal(show("2")["name"], "nothing", "by id")
    equal(show()["name"], "two", "newest")
    one_sentence(gnscope("show", "--store", store, "unheard"), 1, "unheard", "unknown")


@test
def the_text():
    text = gnscope("show", "--store", store, "--layers", "known").stdout.decode()
    lines = text.split("\n")
    contains(lines[0], "Batch 64 is SMALL: 0.13x the critical batch size of 500", "verdict first")
    for part in ("B_noise    500 samples (95% CI", "B_crit     500 samples (95% CI", "64 samples a step", "400 of 400 measured", "coverage   100%",
                 "sources    gemm", "layer1.weight", "10x20", "next: gnscope top 1", "gnscope advise 1"):
        contains(text, part, "text")
    text = gnscope("show", "--store", store, "nothing").stdout.decode()
    contains(text.split("\n")[0], "nothing was measured", "reason first")
    equal("nan" in text.lower(), False, "no nan: " + text)


@test
def what_pytorch_tells():
    run("--name", "gan", "--samples", 64, "--", TRAINER, 200, "torch=1", "optimizers=3")
    it = show("--layers", "gan")
    equal((it["sources"], it["optimizer"], it["lr"]), (["torch"], "AdamW", 0.001), "source, optimizer, lr")
    equal([show(str(i))["optimizer"] for i in it["streams"]], ["SGD", "SGD"], "the others")
    equal([p["name"] for p in it["phases"]], ["forward", "backward", "optimizer"], "phases")
    near(it["phases"][1]["ms"] / it["step_ms"], 0.2, 0.3, "a phase's share")
    layers = {layer["name"]: layer for layer in it["layers"]}
    equal(layers["stem.weight"]["shape"], [10, 4, 3, 3], "shape")
    equal((layers["stem.weight"]["excluded"], layers["stem.weight"]["left_out"]), (True, "compiled"), "left out")
    equal((layers["layer1.weight"]["excluded"], layers["layer1.weight"]["left_out"]), (False, None), "measured")
    near(it["coverage"], 300 / 660, 1e-9, "coverage")
    equal("blas_only" in [w["name"] for w in it["warnings"]], False, "blas_only")
    text = gnscope("show", "--store", store, "--layers", "gan").stdout.decode()
    for part in ("of 660 parameters that this optimizer trains", "AdamW, learning rate 0.001", "a step is  forward 30", "10x4x3x3",
                 "left out: in a compiled region", "others     run %d (gan.2, SGD): B_noise 1,000 samples (95%% CI" % it["streams"][0],
                 "warning    compiled: 1 parameter in a compiled region, whose inner operations are not seen, is left out (55% of all): stem"):
        contains(text, part, "text")
    second = gnscope("show", "--store", store, "gan.2").stdout.decode()
    contains(second, "others     run %d (gan, AdamW): B_noise 500 samples" % it["run"], "the second optimizer's")
    equal(show()["run"], it["run"], "the newest run is the program's")
    listed = [r["name"] for r in json.loads(gnscope("list", "--store", store, "--json").stdout)]
    equal(listed[:3], ["gan", "gan.2", "gan.3"], "list")


@test
def an_optimizer_that_never_steps():
    run("--name", "unused", "--", TRAINER, 50, "torch=1", "optimizers=2", "idle=1")
    text = gnscope("show", "--store", store, "unused").stdout.decode()
    contains(text.split("\n")[0], "nothing was measured of this optimizer, which took no step; another of the program took 50: gnscope show %d "
             "(unused.2)" % show("unused.2")["run"], "reason")
    equal(show("unused.2")["steps_measured"], 50, "the other")


PARTS = "compute comm_exposed copy_exposed idle comm copy gnscope".split()
DEVICE_KEYS = ["rank", "device", "steps", "steps_looked_at", "steps_taken", "step_ms", "step_ms_lo", "step_ms_hi"] + [
    key % part for part in PARTS for key in ("%s_ms", "%s_ms_lo", "%s_ms_hi", "%s_share")] + ["kernels_per_step", "queue_us", "dropped"]


@test
def where_the_time_goes_on_a_device():
    """Against medians and sums made here from the raw rows."""
    path = generate("--store", "PATH", "--steps", "402", "--device", "--ranks", "2", "--seed", "5")
    it = show(path=path)
    equal([list(d) for d in it["devices"]], [DEVICE_KEYS] * 2, "keys of a device")
    for d in it["devices"]:
        rows = query("select wall_ns, compute_ns, idle_ns, comm_ns, own_ns, queue_ns, kernels from device_step where rank=%d" % d["rank"], path)
        walls = sorted(r[0] for r in rows)
        equal((d["steps"], d["steps_looked_at"], d["steps_taken"], len(rows)), (402, 100, 100, 100), "coverage")
        near(d["step_ms"], (walls[49] + walls[50]) / 2e6, 1e-12, "median")
        near(d["step_ms_lo"], walls[39] / 1e6, 1e-12, "its lower limit")
        near(d["step_ms_hi"], walls[60] / 1e6, 1e-12, "its upper limit")
        for key, column in ("compute", 1), ("idle", 2), ("comm", 3), ("gnscope", 4):
            near(d[key + "_share"], sum(r[column] for r in rows) / sum(walls), 1e-12, key)
        near(sum(d[p + "_share"] for p in PARTS[:4]), 1, 1e-9, "the whole")
        near(d["queue_us"], sum(r[5] for r in rows) / sum(r[6] for r in rows) / 1e3, 1e-12, "queue")
    rows = query("select k.family, sum(calls) / 200.0, sum(total_ns) / 200e6, max(max_ns) / 1e6, k.grid, k.block, k.registers, k.shared from "
                 "device_kernel_step join kernel k using (run_id, kernel_id) group by kernel_id order by 3 desc", path)
    equal([k["family"] for k in it["device_kernels"]], [r[0] for r in rows], "families, most time first")
    for k, r in zip(it["device_kernels"], rows):
        near(k["calls_per_step"], r[1], 1e-12, "calls")
        near(k["ms_per_step"], r[2], 1e-12, "time")
        near(k["max_ms"], r[3], 1e-12, "longest")
        equal((k["grid"], k["block"], k["registers"], k["shared"]), r[4:], "what it is")
    equal({(l["name"], l["version"]) for l in it["libraries"] if l["rank"] == 1},
          {("cuda", "13.0"), ("cublas", "13.0.2"), ("cublaslt", "13.0.2"), ("nccl", "2.28.3"), ("cupti", None)}, "libraries")
    equal(it["kernel_times"], None, "kernel times")
    short = show("--window", "40", path=path)["devices"][0]
    equal((short["steps"], short["steps_looked_at"]), (40, 10), "a window")


@test
def a_device_in_words():
    path = generate("--store", "PATH", "--steps", "402", "--device", "--seed", "5")
    text = gnscope("show", "--store", path).stdout.decode()
    d = show(path=path)["devices"][0]
    for part in ("libraries  cublas 13.0.2, cublaslt 13.0.2, cuda 13.0, cupti, nccl 2.28.3", "GPU 0 of rank 0: ", "a step, 100 of 402 steps looked at\n",
                 "  compute                     %.1f%%  " % (100 * d["compute_share"]), "  idle                        %.1f%%  " % (100 * d["idle_share"]),
                 "beside: gnscope's kernels 0.40% · communication 18.7% in all, 66.7% of it overlapped", "a kernel waits 8.5 us",
                 "gpu matmul ", "sm90_xmma_gemm_bf16bf16"):
        contains(text, part, "text")
    plain = gnscope("show", "--store", store, "known").stdout.decode()
    for word in ("GPU", "kernel times", "libraries"):
        equal(word in plain, False, word + " of a run without a device")


@test
def generated_databases():
    path = generate("--store", "PATH", "--runs", "2", "--steps", "300", "--warnings", "--seed", "3")
    if not path:
        return
    for (run_id,) in query("select run_id from run", path):
        it = show(str(run_id), path=path)
        equal(list(it), KEYS, "keys")
        text = gnscope("show", "--store", path, str(run_id), "--layers")
        equal((text.returncode, text.stderr), (0, b""), "text")


main()
