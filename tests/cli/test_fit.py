"""fit: a sweep and saved runs with known answers, what is missing said in a sentence."""
import math
import random

from harness import *

KEYS = ["of", "target_loss", "s_min", "s_min_lo", "s_min_hi", "e_min", "e_min_lo", "e_min_hi", "b_crit", "b_crit_lo", "b_crit_hi", "b_cbs20",
        "b_sfo", "b_sfo_edge", "sample_unit", "runs", "censored", "set_aside", "scatter", "sigma", "dof", "seed_sigma", "fit_p", "curve_p",
        "law_fails", "batches", "laws", "warnings"]
BATCHES = [16, 32, 64, 128, 256, 512, 1024]

base = generate("--store", "PATH", "--steps", "20", "--layers", "1")
if not base:
    sys.exit(77)


def steps_of(batch, s_min=321, b_crit=1000):
    return s_min * (1 + b_crit / batch)


def sweep(name, points, target=0.45, status=None):
    """Points are (batch, lr, seed, steps or -steps when censored)."""
    path = os.path.join(folder, "sweep-%s.db" % name)
    shutil.copy(base, path)
    with sqlite3.connect(path) as db:
        db.execute("insert into sweep(sweep_id,name,command,target_loss,window,lr_rule,start_ns) values(1,?,'[]',?,1.5,'none',1)", (name, target))
        for batch, lr, seed, steps in points:
            word = status or ("reached" if steps > 0 else "capped")
            db.execute("insert into sweep_run(sweep_id,batch,lr,seed,status,steps,samples) values(1,?,?,?,?,?,?)",
                       (batch, lr, seed, word, abs(steps), abs(steps) * batch))
    db.close()
    return path


def fit(path, *args):
    answer = gnscope("fit", "--store", path, "--json", *args)
    equal(answer.returncode, 0, answer.stderr.decode())
    return json.loads(answer.stdout)


def names(it):
    return [w["name"] for w in it["warnings"]]


@test
def exact_points_give_exact_numbers():
    it = fit(sweep("exact", [(b, None, 0, steps_of(b)) for b in (250, 1000, 4000)]))
    equal(list(it), KEYS, "keys")
    for key, want in {"s_min": 321, "e_min": 321000, "b_crit": 1000, "b_crit_lo": 1000, "b_crit_hi": 1000, "b_cbs20": 200, "b_sfo": 250}.items():
        near(it[key], want, 1e-9, key)
    equal((it["runs"], it["censored"], it["target_loss"], it["of"]), (3, 0, 0.45, "sweep exact"), "the rest")


@test
def noisy_sweep_with_rates_and_a_run_that_never_got_there():
    dice = random.Random(4)
    points = []
    for b in BATCHES:
        best = 0.1 * math.sqrt(b / 128)
        for lr in (best / 4, best, best * 4):
            for seed in range(3):
                steps = steps_of(b, 500, 128) * math.exp(dice.gauss(0, 0.05)) * (1 if lr == best else 1.4)
                points.append((b, lr, seed, steps if steps < 4700 else -4700))
    path = sweep("noisy", points)
    it = fit(path, "--sweep", "noisy")
    equal(it["b_crit_lo"] < 128 < it["b_crit_hi"], True, "B_crit [%(b_crit_lo)g to %(b_crit_hi)g]" % it)
    equal(0.8 < it["b_crit"] / 128 < 1.25, True, "B_crit %g" % it["b_crit"])
    equal((it["runs"], it["set_aside"]), (21, 42), "runs")
    equal([round(b["lr"] / math.sqrt(b["batch"] / 128), 6) for b in it["batches"]], [0.1] * 7, "the best rate of each batch")
    equal([b["lrs"] for b in it["batches"]], [3] * 7, "rates tried")
    equal(it["censored"] > 0, True, "censored")
    text = gnscope("fit", "--store", path).stdout.decode()
    for part in ("B_crit     ", " samples [", "20%", "Zhang", "SFO", "the law holds", "degrees of freedom", "of several learning rates"):
        contains(text, part, "text")


@test
def what_the_sweep_cannot_tell_is_told():
    it = fit(sweep("small", [(b, None, s, 1e6 / b * (1.02 if s else 0.98)) for b in (4, 8, 16) for s in range(3)]))
    equal((it["b_crit_hi"], it["b_crit_lo"] > 16), (None, True), "upper limit")
    contains(str(names(it)), "no_upper_limit", "warnings")
    it = fit(sweep("edge", [(b, lr, s, steps_of(b) * lr * (1 + s / 50)) for b in BATCHES for lr in (1, 2) for s in range(2)]))
    contains(str(names(it)), "lr_edge", "warnings")
    it = fit(sweep("corner", [(b, None, s, 1000 * max(1, 128 / b) * (1 + 0.01 * s)) for b in BATCHES for s in range(3)]))
    equal((it["law_fails"], "law_fails" in names(it)), (True, True), "the law")
    it = fit(sweep("two", [(b, None, 0, steps_of(b)) for b in (64, 512)]))
    equal((it["b_crit_lo"], it["b_crit_hi"], it["scatter"]), (None, None, "none"), "two runs")
    contains(str(names(it)), "no_limits", "warnings")


@test
def refusals_say_what_to_do():
    never = sweep("never", [(b, None, 0, -500) for b in BATCHES])
    one_sentence(gnscope("fit", "--store", never), 1, "none of 7 runs reached the loss 0.45", "never reached")
    single = sweep("single", [(64, None, s, 500 + s) for s in range(3)])
    one_sentence(gnscope("fit", "--store", single), 1, "one batch size only, 64", "one batch")
    contains(gnscope("fit", "--store", single).stderr, "two or more", "what to do")
    half = sweep("half", [(64, None, 0, 500), (64, None, 1, 510), (128, None, 0, -300)])
    one_sentence(gnscope("fit", "--store", half), 1, "at one batch size only", "one batch reached")
    failed = sweep("failed", [(64, None, 0, 500)], status="failed")
    one_sentence(gnscope("fit", "--store", failed), 1, "1 of 1 runs of the sweep failed", "all failed")
    one_sentence(gnscope("fit", "--store", base), 1, "no sweep", "none")
    contains(gnscope("fit", "--store", base).stderr, "gnscope fit RUN", "what else")
    one_sentence(gnscope("fit", "--store", never, "--sweep", "other"), 1, "never", "unknown sweep lists what is there")
    one_sentence(gnscope("fit", "--store", never, "--sweep", "never", "1"), 2, "one or the other", "both")
    one_sentence(gnscope("fit", "--store", never, "--target-loss", "1"), 2, "for saved runs", "target of a sweep")
    one_sentence(gnscope("fit", "--store", never, "--target-loss", "x", "1"), 2, "not a number", "target")
    one_sentence(gnscope("fit", "--store", never, "nosuchrun", "1"), 1, "nosuchrun", "unknown run")


def runs(b_crit=128, s_min=300, layers="1", batches=BATCHES):
    """Saved runs of one program whose loss falls as the root of the step, to 1 at the steps of the law."""
    path = os.path.join(folder, "runs-%d.db" % len(os.listdir(folder)))
    for i, b in enumerate(batches):
        steps = int(1.5 * steps_of(b, s_min, b_crit))
        subprocess.run([GENERATE, "--store", path, "--steps", str(steps), "--layers", layers, "--batch", str(b), "--name", "b%d" % b, "--every", "10",
                        "--from", "200", "--to", "800", "--noise", "0.01", "--seed", str(i + 5), "--no-losses", "--no-kernels"], check=True, stdout=subprocess.DEVNULL)
        with sqlite3.connect(path) as db:
            run_id = db.execute("select max(run_id) from run").fetchone()[0]
            target = steps_of(b, s_min, b_crit)
            db.executemany("update step set loss=? where run_id=? and step=?",
                           [(math.sqrt(target / s), run_id, s) for s in range(1, steps + 1)])
            db.execute("update run set command=? where run_id=?", ("python3 train.py --batch-size %d --out r%d" % (b, i), run_id))
        db.close()
    return path


saved = runs()


@test
def saved_runs_to_a_target():
    it = fit(saved, *["b%d" % b for b in BATCHES], "--target-loss", "1")
    near(it["b_crit"], 128, 0.03, "B_crit")
    near(it["s_min"], 300, 0.03, "S_min")
    equal((it["runs"], it["censored"], it["target_loss"]), (7, 0, 1), "runs")
    equal("commands_differ" in names(it), False, "the same program at other numbers")
    harder = fit(saved, *["b%d" % b for b in BATCHES], "--target-loss", "0.95")
    equal(harder["censored"] == 0 and harder["s_min"] > it["s_min"], True, "a lower loss takes longer")
    answer = gnscope("fit", "--store", saved, *["b%d" % b for b in BATCHES], "--target-loss", "0.5")
    one_sentence(answer, 1, "none of 7 runs reached the loss 0.5", "never")


@test
def without_a_target_what_all_have_reached():
    it = fit(saved, *["b%d" % b for b in BATCHES])
    near(it["b_crit"], 128, 0.03, "B_crit")
    contains(str(names(it)), "target", "it is told")
    equal(it["censored"], 0, "all reached it")


@test
def power_laws_over_runs():
    it = fit(saved, *["b%d" % b for b in BATCHES])
    laws = {(l["of"], l["against"]): l for l in it["laws"]}
    equal(len(laws), 4, "laws")
    equal([l["runs"] for l in it["laws"]], [7] * 4, "runs")
    text = gnscope("fit", "--store", saved, *["b%d" % b for b in BATCHES]).stdout.decode()
    for law in it["laws"]:
        trend = not law["power_lo"] <= 0 <= law["power_hi"]
        equal((law["power"] is not None, law["factor"] is not None), (trend, trend), "a law where its exponent can be told from zero")
        if trend:
            equal(law["power_lo"] <= law["power"] <= law["power_hi"], True, "limits")
        equal(law["better"] and not trend, False, "none is better than another")
    flat = [l for l in it["laws"] if l["power"] is None]
    equal(text.count("no trend in 7 runs, the exponent is between"), len(flat), "and said")
    few = fit(saved, "b16", "b64")
    equal([l["power"] for l in few["laws"]], [None] * 4, "too few")
    contains(gnscope("fit", "--store", saved, "b16", "b64").stdout, "too few, 2 runs", "said")
    only = json.loads(gnscope("fit", "--store", saved, "--laws", "--json", "b16", "b32", "b64").stdout)
    equal(list(only), ["of", "laws", "warnings"], "keys of --laws")


@test
def runs_that_do_not_belong_together():
    subprocess.run([GENERATE, "--store", saved, "--steps", "50", "--layers", "3", "--name", "other", "--seed", "70"], check=True, stdout=subprocess.DEVNULL)
    one_sentence(gnscope("fit", "--store", saved, "b16", "b64", "other"), 1, "are of different programs", "weights differ")
    one_sentence(gnscope("fit", "--store", saved, "b16", "b16"), 1, "named twice", "twice")
    subprocess.run([GENERATE, "--store", saved, "--steps", "50", "--layers", "1", "--name", "silent", "--no-losses", "--seed", "71"], check=True, stdout=subprocess.DEVNULL)
    one_sentence(gnscope("fit", "--store", saved, "silent"), 1, "none of the runs has losses", "no losses")
    one_sentence(gnscope("fit", "--store", saved, "b64"), 1, "one batch size only", "one run")
    it = fit(saved, "b16", "b64", "b256", "silent", "--target-loss", "1")
    contains(str(names(it)), "no_losses", "left out")
    contains(str(names(it)), "commands_differ", "another command")


main()
