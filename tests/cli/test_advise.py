"""advise: known answers, rules of the optimizer in use, and no advice from noise."""
import math

from harness import *

if not GENERATE:
    sys.exit(77)
db_path = os.path.join(folder, "advise.db")
KEYS = ("run name batch sample_unit optimizer lr resolved b_crit b_crit_lo b_crit_hi b_crit_source b_noise b_noise_lo b_noise_hi b_noise_now b_noise_now_lo b_noise_now_hi now_half_life target target_steps "
        "devices price step_time rows best_time best_time_lo best_time_hi best_cost best_cost_lo best_cost_hi exchange best_exchange "
        "best_exchange_lo best_exchange_hi norm_test schedule rules_for rules warnings").split()
seed = 10


def make(name, *options, steps=200, batch=128, step_ms=10.0, kernels=(), optimizer=None, settings=(), sql=()):
    """A run of the generator with its times, products and settings put in their place."""
    global seed
    seed += 1
    subprocess.run([GENERATE, "--store", db_path, "--steps", str(steps), "--layers", "1", "--batch", str(batch), "--name", name, "--seed", str(seed),
                    "--no-kernels", "--no-losses", *options], check=True, stdout=subprocess.DEVNULL)
    with sqlite3.connect(db_path) as db:
        run = db.execute("select max(run_id) from run").fetchone()[0]
        db.execute("update step set dur_ns=?, overhead_ns=0 where run_id=?", (int(step_ms * 1e6), run))
        for i, (family, kernel, calls, ms) in enumerate(kernels):
            db.execute("insert into kernel(run_id, kernel_id, family, name) values(?,?,?,?)", (run, i + 1, family, kernel))
            db.execute("insert into kernel_step select run_id, step, rank, ?, ?, ?, 1, 1e6 from step where run_id=?",
                       (i + 1, calls, int(ms * 1e6), run))
        if optimizer:
            db.execute("update run set optimizer=?, lr=? where run_id=?", (optimizer, 0.1, run))
        for key, value in settings:
            db.execute("insert into setting(run_id,step,name,value) values(?,1,?,?)", (run, key, value))
        db.execute("update run set command=? where run_id=?", ("python3 %s.py --batch-size %d" % (name.rstrip("0123456789"), batch), run))
        for statement in sql:
            db.execute(statement, {"run": run})
    db.close()


FLAT = ("--from", "500", "--to", "500", "--noise", "0.01")
PARTS = (("phase", "optimizer", 1, 1.0), ("phase", "backward", 1, 5.0), ("wgrad", "sgemm NT 512x784x128", 1, 2.0),
         ("forward", "sgemm TN 512x128x784", 1, 1.0), ("other", "sgemm NN 64x64x64", 100, 3.0))
make("flat", *FLAT, kernels=PARTS, optimizer="SGD")
make("adam", *FLAT, optimizer="AdamW", settings=[("beta1", 0.9), ("beta2", 0.999), ("eps", 1e-8), ("weight_decay", 0.01)])
make("bare", *FLAT)
make("noisy", "--from", "50000", "--to", "50000", "--noise", "3", optimizer="SGD", steps=12)
make("grows", "--from", "100", "--to", "4000", "--noise", "0.01", steps=2000)


def advise(*args):
    answer = gnscope("advise", "--store", db_path, "--json", *args)
    equal(answer.returncode, 0, answer.stderr.decode())
    return json.loads(answer.stdout)


def names(it):
    return [w["name"] for w in it["warnings"]]


def row(it, batch):
    return [r for r in it["rows"] if r["batch"] == batch][0]


@test
def keys_and_what_it_took():
    it = advise("flat")
    equal(list(it), KEYS, "keys")
    equal((it["batch"], it["resolved"], it["target_steps"], it["devices"], it["price"]), (128, True, 200, 1, None), "the run")
    near(it["b_crit"], 500, 0.03, "B_crit")
    now = row(it, 128)
    equal((now["now"], now["step_measured"], now["steps"], now["steps_lo"], now["step_ms"]), (True, True, 200, 200, 10), "now is measured")
    near(now["hours"], 200 * 0.010 / 3600, 1e-12, "hours")
    equal([r["batch"] for r in it["rows"]], [32, 64, 128, 256, 512], "batches")


@test
def another_batch_by_the_law():
    it = advise("flat", "--batch", "1000", "--price", "3600", "--devices", "1")
    b = it["b_crit"]
    r = row(it, 1000)
    steps = 200 * (1 + b / 1000) / (1 + b / 128)
    near(r["steps"], steps, 1e-12, "steps")
    near(r["samples"], steps * 1000, 1e-12, "samples")
    near(r["efficiency"], 1 / (1 + 1000 / b), 1e-12, "efficiency")
    equal(r["steps_lo"] < r["steps"] < r["steps_hi"], True, "limits")
    # optimizer 1 ms, products 8/136 of 3 ms, and 0.05 ms for each of two calls are fixed
    alpha = 1 + 3 * 8 / 136 + 0.1
    near(it["step_time"]["alpha_ms"], alpha, 1e-9, "alpha")
    near(r["step_ms"], alpha + (10 - alpha) / 128 * 1000, 1e-9, "step time")
    near(r["hours"], steps * r["step_ms"] / 3.6e6, 1e-9, "hours")
    near(r["cost"], r["hours"] * 3600, 1e-9, "cost")
    equal((r["far"], "extrapolated" in names(it)), (True, True), "more than four times away")
    near(it["best_time"], math.sqrt(b * alpha / ((10 - alpha) / 128)), 1e-9, "least time")
    near(advise("flat", "--exchange", "2000")["best_exchange"], math.sqrt(2000 * b), 1e-9, "exchange")
    near(row(advise("flat", "--steps", "1000", "--batch", "256"), 256)["steps"], 1000 * (1 + b / 256) / (1 + b / 128), 1e-9, "--steps")


@test
def more_devices():
    one, four = advise("flat", "--price", "1"), advise("flat", "--devices", "4", "--price", "1")
    near(row(four, 512)["step_ms"], 10, 1e-12, "the same batch a device")
    near(row(four, 512)["cost"], 4 * row(four, 512)["hours"], 1e-12, "all are paid")
    contains(str(four["warnings"]), "communication not measured", "communication")
    equal("communication" in names(one), False, "one device has none")
    near(four["best_time"], 2 * one["best_time"], 1e-9, "least time")


@test
def rules_of_the_optimizer_in_use():
    def rules(it):
        return {(r["what"], r["rule"], r["formula"]): r for r in it["rules"]}

    sgd = rules(advise("flat", "--batch", "256"))
    near(sgd["lr", "linear", "lr kappa"]["value"], 0.2, 1e-12, "linear")
    it = advise("flat", "--batch", "512")
    sgd, b = rules(it), it["b_noise_now"]
    linear = sgd["lr", "linear", "lr kappa"]
    equal((linear["value"], linear["factor"]), (None, None), "beyond B_crit: none")
    contains(linear["note"], "not below B_crit", "and why")
    near(sgd["lr", "noise", "lr (1 + Bn/B)/(1 + Bn/B')"]["value"], 0.1 * (1 + b / 128) / (1 + b / 512), 1e-9, "noise")
    equal([k for k in sgd if k[1] in ("square root", "sde")], [], "none of Adam's")
    adam = rules(advise("adam", "--batch", "512"))
    near(adam["lr", "square root", "lr sqrt(kappa)"]["value"], 0.2, 1e-12, "square root")
    near(adam["beta2", "half-life", "beta2^kappa"]["value"], 0.999**4, 1e-12, "half-life")
    equal(adam["weight_decay", "timescale", "lambda kappa"]["value"], None, "beyond B_crit")
    near(rules(advise("adam", "--batch", "256"))["weight_decay", "timescale", "lambda kappa"]["value"], 0.02, 1e-12, "decay")
    near(adam["beta1", "sde", "1 - kappa (1 - beta)"]["value"], 0.6, 1e-9, "beta1")
    bare = advise("bare", "--batch", "512")
    equal({"linear", "noise", "square root", "surge"} <= {r["rule"] for r in bare["rules"]}, True, "unknown: side by side")
    contains(str(names(bare)), "optimizer_unknown", "and told")
    text = gnscope("advise", "--store", db_path, "adam", "--batch", "512").stdout.decode()
    equal("memory" in text, False, "nothing is from memory")
    for part in ("Malladi", "0.1 -> 0.2", "Busbridge"):
        contains(text, part, "text")


@test
def optimizers_without_a_rule():
    make("muon", *FLAT, optimizer="MuonWithAuxAdam")
    it = advise("muon", "--batch", "256")
    equal((it["rules"], it["rules_for"]), ([], None), "none")
    contains(str(it["warnings"]), "no rule is known for the optimizer MuonWithAuxAdam", "and told")


@test
def the_norm_test():
    """S/n against theta^2 Q_n, with the batch's own gradient."""
    it = advise("flat")
    b = it["b_noise_now"]
    for t, theta in zip(it["norm_test"], (1, 0.5)):
        near(t["needed"], b * 128 / (theta**2 * (b + 128)), 1e-9, "needed")
    one, half = it["norm_test"]
    equal((one["passed"], one["batch"]), (True, 128), "any batch passes at 1")
    equal((half["passed"], half["batch"]), (False, math.ceil(half["needed"])), "raised")
    capped = advise("flat", "--max-batch", "200")
    equal([t["batch"] for t in capped["norm_test"]], [128, 200], "no more than there is room for")
    equal(["max_batch" in names(advise("flat", "--max-batch", most)) for most in ("100", "200")], [True, False], "told where the batch is beyond it")
    text = gnscope("advise", "--store", db_path, "flat", "--max-batch", "200").stdout.decode()
    for part in ("theta 1: passed, keep batch 128", "theta 0.5: failed, next batch", "of which the hardware takes 200", "now, half-life"):
        contains(text, part, "text")


@test
def rules_speak_of_now():
    it = advise("grows", "--batch", "4000")
    equal(it["b_noise_now"] > 1.3 * it["b_noise"], True, "it has grown")
    b = it["b_noise_now"]
    rule = {r["rule"]: r for r in it["rules"]}
    near(rule["noise"]["factor"], (1 + b / 128) / (1 + b / 4000), 1e-9, "noise")
    near(it["norm_test"][1]["needed"], 4 * b * 128 / (b + 128), 1e-9, "norm test")


@test
def step_times_are_never_below_zero():
    """Runs through which no line goes."""
    for name, batch, ms in (("odd1", 64, 2.0), ("odd2", 128, 0.9), ("odd3", 256, 6.0), ("odd4", 512, 5.0), ("odd5", 32, 1.5)):
        make(name, *FLAT, batch=batch, step_ms=ms)
    it = advise("odd1", "--batch", "24")
    equal(it["step_time"]["rule"], "runs", "a line")
    for r in it["rows"]:
        for key in ("step_ms", "hours"):
            equal(r[key + "_lo"] > 0 and r[key + "_lo"] <= r[key] <= r[key + "_hi"], True, "%s at %g" % (key, r["batch"]))
    contains(str(it["warnings"]), "times what the line through the runs says", "told")


@test
def the_noise_it_follows():
    it = advise("flat")
    near(it["schedule"]["gain"], 1, 0.01, "constant noise: nothing to gain")
    grows = advise("grows")["schedule"]
    equal(grows["gain"] < 0.95 and grows["last"] > 3 * grows["first"] and grows["samples"] < 1, True, str(grows))


@test
def no_advice_from_noise():
    it = advise("noisy")
    equal((it["resolved"], it["b_crit"], it["best_time"], it["best_cost"], it["schedule"], it["rules_for"]), (False, None, None, None, None, None), "none")
    equal(it["rules"], [], "no rules")
    for r in it["rows"]:
        equal(r["steps"] is None or r["now"], True, "no value")
        equal(r["steps_lo"] <= r["steps_hi"], True, "but limits")
    # from all B_crit to none: as many samples, or as many steps
    near(row(it, 256)["steps_lo"], 6, 1e-9, "perfect scaling")
    contains(str(names(it)), "unresolved", "told")
    rule = {r["rule"]: r for r in advise("noisy", "--batch", "256")["rules"]}
    equal(rule["noise"]["value"], None, "no rate from noise")
    near(rule["linear"]["value"], 0.2, 1e-12, "but those that need none")
    contains(gnscope("advise", "--store", db_path, "noisy").stdout, "no batch is advised", "text")


@test
def runs_at_other_batches_refine_the_step_time():
    make("pair1", *FLAT, batch=128, step_ms=10, kernels=PARTS)
    equal(advise("pair1")["step_time"]["rule"], "parts", "one run")
    make("pair2", *FLAT, batch=512, step_ms=34)
    it = advise("pair1", "--batch", "256")
    equal((it["step_time"]["rule"], it["step_time"]["runs"]), ("runs", 2), "two runs")
    near(it["step_time"]["alpha_ms"], 2, 1e-9, "alpha")
    near(row(it, 256)["step_ms"], 18, 1e-9, "between")
    make("pairs", *FLAT, batch=1024, step_ms=1)
    equal(advise("pair1")["step_time"]["runs"], 2, "another program has no part in it")


@test
def without_kernels():
    it = advise("bare", "--batch", "256")
    r = row(it, 256)
    equal((it["step_time"]["rule"], r["step_ms"], it["best_time"]), ("whole", None, None), "no value")
    near(r["step_ms_lo"], 10, 1e-12, "all fixed")
    near(r["step_ms_hi"], 20, 1e-12, "all in proportion")
    contains(str(it["warnings"]), "no GEMM was timed", "told, with what to do")


@test
def learning_rates_that_change_are_told():
    make("warm", *FLAT, sql=["update step set lr = min(step, 50) * 0.001 where run_id=:run",
                             "update step set lr = 0.01 where step > 150 and run_id=:run"])
    equal({"warmup", "lr_schedule"} <= set(names(advise("warm"))), True, "told")
    equal({"warmup", "lr_schedule"} & set(names(advise("flat"))), set(), "not told where there is none")
    contains(str(names(advise("flat"))), "not_seen", "what cannot be seen")


@test
def targets():
    make("loss", *FLAT, sql=["update step set loss = 10.0 / step where run_id=:run"])
    near(advise("loss", "--target-loss", "0.1")["target_steps"], 100, 0.02, "steps to it")
    one_sentence(gnscope("advise", "--store", db_path, "loss", "--target-loss", "0.001"), 1, "did not reach the loss 0.001", "never")
    contains(gnscope("advise", "--store", db_path, "loss", "--target-loss", "0.001").stderr, "--steps N", "what to do")
    one_sentence(gnscope("advise", "--store", db_path, "flat", "--target-loss", "0.1"), 1, "too few to tell", "no losses")


@test
def b_crit_of_a_sweep():
    with sqlite3.connect(db_path) as db:
        db.execute("insert into sweep(sweep_id,name,command,target_loss,window,lr_rule,start_ns) values(1,'sw','[]',0.4,1.5,'none',1)")
        for b in (100, 1000, 10000):
            db.execute("insert into sweep_run(sweep_id,batch,seed,status,steps,samples) values(1,?,0,'reached',?,1)", (b, 300 * (1 + 2000 / b)))
    db.close()
    it = advise("flat", "--sweep", "sw")
    near(it["b_crit"], 2000, 1e-9, "B_crit")
    contains(it["b_crit_source"], "measured by sweep sw", "source")
    near(row(it, 512)["steps"], 200 * (1 + 2000 / 512) / (1 + 2000 / 128), 1e-9, "steps")
    equal("diagnostic" in names(it), False, "no longer a diagnostic")
    one_sentence(gnscope("advise", "--store", db_path, "flat", "--sweep", "no"), 1, "sw", "unknown sweep")


@test
def refusals():
    gnscope("run", "--store", db_path, "--name", "nothing", "--", "true")
    one_sentence(gnscope("advise", "--store", db_path, "nothing"), 1, "no measured step", "nothing measured")
    one_sentence(gnscope("advise", "--store", db_path, "unheard"), 1, "unheard", "unknown")
    for option, bad in (("--batch", "0"), ("--batch", "x"), ("--batch", "1.5"), ("--devices", "-1"), ("--price", "nan"), ("--steps", "0"),
                        ("--exchange", "0"), ("--target-loss", "y")):
        one_sentence(gnscope("advise", "--store", db_path, option, bad, "flat"), 2, "'%s'" % bad, option)
    one_sentence(gnscope("advise", "--store", db_path, "flat", "--steps", "5", "--target-loss", "1"), 2, "one or the other", "both")
    one_sentence(gnscope("advise", "--store", db_path, "flat", "adam"), 2, "unexpected argument", "two runs")


main()
