#!/usr/bin/python3
"""Kernel times: what the database has against what the device did.

tests/programs/gpu_mlp trains on the fakes of CUDA's libraries. Its device's timeline is one from a file (GNS_FAKE_CUPTI_SCRIPT), so what every
step must have been is known to the nanosecond; or the fake device's own, of which the counts are known. Then what must not happen: a
window that stays, a profiler of the program's own that gets nothing, a training that differs.
"""
import os
import sys

import common
from common import check

MARK = 1000  # ns that a mark takes in the fake
OTHERS = ("gpu gnscope",)

# Two steps over and over: wall, then (what, start, end, queued, grid, block, registers, shared, name), by streams that overlap.
SCRIPT = [
    (100000, [
        ("kernel", 2000, 30000, 500, 128, 256, 96, 49152, "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x1_nn"),
        ("kernel", 30000, 31000, None, 512, 128, 32, 0, "_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_15CUDAFunctor_addIfEESt5arrayIPcLm3EEEEviT0_T1_"),
        ("kernel", 20000, 60000, None, 24, 512, 96, 0, "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)"),
        ("kernel", 50000, 55000, None, 256, 256, 96, 49152, "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x1_nn"),
        ("copy", 58000, 70000, None, 1),
        ("fill", 72000, 73000, None),
        ("overhead", 10, 60, None),
        ("kernel", 80000, 104000, 70000, 64, 1024, 40, 0, "_Z12adamw_kernelPfS_"),  # runs into the next step
    ]),
    (50000, [
        ("kernel", 10000, 20000, 9000, 128, 256, 96, 49152, "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x1_nn"),
        ("kernel", 12000, 18000, None, 16, 256, 48, 0, "void pytorch_flash::flash_fwd_kernel<Traits<64> >(pytorch_flash::Flash_fwd_params)"),
    ]),
]
PRETTY = {
    "_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_15CUDAFunctor_addIfEESt5arrayIPcLm3EEEEviT0_T1_":
        ("gpu elementwise", "at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<...>, std::array<...> >"),
    "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)": ("gpu comm", "ncclDevKernel_AllReduce_Sum_f32_RING_LL"),
    "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x1_nn":
        ("gpu matmul", "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x1_nn"),
    "_Z12adamw_kernelPfS_": ("gpu optimizer", "adamw_kernel"),
    "void pytorch_flash::flash_fwd_kernel<Traits<64> >(pytorch_flash::Flash_fwd_params)":
        ("gpu attention", "pytorch_flash::flash_fwd_kernel<Traits<...> >"),
}


def cut(text):
    """To the room of a record."""
    return text if len(text) <= 88 else text[:57] + "..." + text[-28:]


def write_script(path):
    with open(path, "w") as f:
        for wall, lines in SCRIPT:
            f.write(f"step {wall}\n")
            for what, start, end, queued, *rest in lines:
                words = [what, start, end] + (["-" if queued is None else queued] if what == "kernel" else []) + rest
                f.write(" ".join(map(str, words)) + "\n")


def family(what, name):
    return "gpu copy" if what in ("copy", "fill") else PRETTY[name][0]


def label(what, rest, demangled):
    if what == "fill":
        return "memset"
    if what == "copy":
        return {1: "memcpy HtoD", 2: "memcpy DtoH"}[rest[0]]
    return cut(PRETTY[rest[-1]][1] if demangled or not rest[-1].startswith("_Z") else rest[-1])


def activities(phase, demangled=True):
    """(start, end, family, queued, label, grid, block, registers, shared) of one step of the script, and what runs into it from the one before."""
    found = [(0, MARK, "gpu gnscope", None, "gns_mark", 1, None, 8, 0)]
    for at, offset in ((phase, 0), (1 - phase, -SCRIPT[1 - phase][0])):
        for what, start, end, queued, *rest in SCRIPT[at][1]:
            if what == "overhead" or (offset and end + offset <= 0):
                continue
            shape = rest[:4] if what == "kernel" else (None, None, None, None)
            found.append((start + offset, end + offset, family(what, rest[-1] if rest else ""), queued, label(what, rest, demangled), *shape))
    return found


def covered(spans, wall):
    """Nanoseconds that any of the spans covers, counted one by one."""
    on = bytearray(wall)
    for start, end in spans:
        start, end = max(start, 0), min(end, wall)
        if end > start:
            on[start:end] = b"\1" * (end - start)
    return on.count(1)


def expected(phase):
    wall, did = SCRIPT[phase][0], activities(phase)
    kernels = [a for a in did if a[2] != "gpu copy"]
    compute = [a[:2] for a in kernels if a[2] != "gpu comm"]
    comm = [a[:2] for a in did if a[2] == "gpu comm"]
    copy = [a[:2] for a in did if a[2] == "gpu copy"]
    c1, c2, c3 = covered(compute, wall), covered(compute + comm, wall), covered(compute + comm + copy, wall)
    own = [a for a in kernels if a[0] >= 0]
    queue = sum(a[0] - a[3] for a in own if a[3] is not None)
    return {"wall_ns": wall, "compute_ns": c1, "comm_exposed_ns": c2 - c1, "copy_exposed_ns": c3 - c2, "idle_ns": wall - c3,
            "comm_ns": covered(comm, wall), "copy_ns": covered(copy, wall), "own_ns": covered([(0, MARK)], wall), "kernels": len(own),
            "queue_ns": queue, "dropped": 0}


def expected_uses(phase, demangled):
    uses = {}
    for start, end, kind, _, name, grid, block, registers, shared in activities(phase, demangled):
        if start >= 0:
            calls, total, longest = uses.get((kind, name), (0, 0, 0))
            uses[kind, name] = (calls + 1, total + end - start, max(longest, end - start))
    return uses


class Program:
    def __init__(self, bench, name, steps, *options, every=1):
        self.bench, self.name, self.steps, self.options, self.every = bench, name, steps, options, every
        self.store = bench.path(f"{name}.db")

    def command(self, how):
        return [self.bench.gpu_mlp, "--steps", str(self.steps), *self.options, "--losses", self.bench.path(f"{self.name}-{how}.losses"),
                "--weights-hash"]

    def run(self, *words, **env):
        """Trains alone and under gnscope: the same to the bit."""
        alone = self.bench.must(self.command("alone")).stdout
        under = self.bench.must(self.bench.gns_run(self.store, "--samples", 32, "--every", self.every, *words, "--", *self.command("under")),
                                env={**self.bench.env, **env})
        said = [line for line in under.stderr.splitlines() if not line.startswith("gnscope: ")]
        check(not said, f"{self.name}: wrote to its standard error: {said}")
        check(under.stdout == alone, f"{self.name}: training under gnscope differs:\n{alone}{under.stdout}")
        losses = [open(self.bench.path(f"{self.name}-{how}.losses")).read() for how in ("alone", "under")]
        check(losses[0] == losses[1], f"{self.name}: losses under gnscope differ")

    def device_steps(self):
        return common.query(self.store, "SELECT * FROM device_step ORDER BY step, device")

    def uses(self):
        return common.query(self.store, "SELECT s.step, k.family, k.name, s.calls, s.total_ns, s.max_ns, k.grid, k.block, k.registers, k.shared "
                                        "FROM device_kernel_step s JOIN kernel k USING (run_id, kernel_id)")

    def counter(self, name, collector="cupti"):
        rows = common.query(self.store, "SELECT value FROM collector WHERE collector = ? AND name = ?", collector, name)
        return rows[0]["value"] if rows else 0

    def events(self, name):
        return [r["text"] for r in common.query(self.store, "SELECT text FROM event WHERE name = ?", name)]

    def why(self):
        rows = common.query(self.store, "SELECT collector, name, value, text FROM collector WHERE value > 0")
        events = common.query(self.store, "SELECT name, text FROM event")
        return "\n".join(f"  {r['collector']} {r['name']} {r['value']} {r['text'] or ''}" for r in rows) + f"\n  {events}"


def agrees(program, row, phase):
    want = expected(phase)
    got = {key: row[key] for key in want}
    return got == want


def phases(program, rows):
    """Which of the script's two steps each row is: the first is tried, then they alternate."""
    first = next((p for p in (0, 1) if agrees(program, rows[0], (p + rows[0]["step"]) % 2)), None)
    check(first is not None, f"{program.name}: step {rows[0]['step']} is {rows[0]}, expected {expected(0)} or {expected(1)}")
    return first


def compare_script(program, rows, demangled=False):
    first = phases(program, rows)
    for row in rows:
        phase = (first + row["step"]) % 2
        check(agrees(program, row, phase), f"{program.name}: step {row['step']}, device {row['device']} is {row}, expected {expected(phase)}")
    by_step = {}
    for use in program.uses():
        by_step.setdefault(use["step"], {})[use["family"], use["name"]] = (use["calls"], use["total_ns"], use["max_ns"])
    for step in {row["step"] for row in rows}:
        want = expected_uses((first + step) % 2, demangled)
        check(by_step.get(step) == want, f"{program.name}: kernels of step {step} are {by_step.get(step)}, expected {want}")


def every_step_is_as_the_script_says(bench):
    program = Program(bench, "script-on", 300, every=100)
    program.run("--kernels", "on", LD_PRELOAD="libstdc++.so.6")  # which demangles
    rows = program.device_steps()
    check(len(rows) >= 20, f"{program.name}: {len(rows)} steps were told\n{program.why()}")
    check(not program.events("kernel_times_approximate"), f"{program.name}: without marks\n{program.why()}")
    steps = [r["step"] for r in rows]
    check(steps == list(range(steps[0], steps[-1] + 1)), f"{program.name}: steps told are {steps}")
    compare_script(program, rows, demangled=True)
    shape = {u["name"]: (u["grid"], u["block"], u["registers"], u["shared"]) for u in program.uses()}
    check(shape["ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x1_nn"] == (128, 256, 96, 49152), f"of the longest call: {shape}")
    check(shape["adamw_kernel"] == (64, 1024, 40, None), f"shapes are {shape}")
    check(program.counter("dropped") == 0 and program.counter("steps_abandoned") <= 1, program.why())
    print(f"--kernels on: {len(rows)} steps and their kernels are those of the timeline, to the nanosecond")


def windows_are_few(bench):
    program = Program(bench, "script-auto", 500, every=100)
    program.run("--kernels", "auto", GNS_FAKE_DELAY_US="0")
    rows = program.device_steps()
    windows = program.counter("windows")
    check(rows and windows >= 1, f"{program.name}: nothing was told\n{program.why()}")
    check(len(rows) <= 2 * windows and windows <= 5, f"{program.name}: {len(rows)} steps in {windows} windows of {program.steps} steps")
    for a, b in zip(rows[0::2], rows[1::2]):
        check(b["step"] == a["step"] + 1, f"{program.name}: steps {a['step']} and {b['step']} are no window")
        compare_script(program, [a, b])  # the timeline goes on where it was
    print(f"--kernels auto: {len(rows)} of {program.steps} steps in {windows} windows")


def what_the_fake_device_ran(bench):
    program = Program(bench, "own", 300, every=100)
    program.run("--kernels", "on", GNS_FAKE_CUPTI_SCRIPT="")
    rows = program.device_steps()
    check(len(rows) >= 20, f"{program.name}: {len(rows)} steps were told\n{program.why()}")
    for r in rows:
        whole = r["compute_ns"] + r["comm_exposed_ns"] + r["copy_exposed_ns"] + r["idle_ns"]
        check(whole == r["wall_ns"] > 0, f"{program.name}: step {r['step']}: {whole} ns of parts in {r['wall_ns']} ns")
        check(0 < r["own_ns"] <= r["compute_ns"], f"{program.name}: step {r['step']}: {r}")
    counts = {}
    for u in program.uses():
        if u["family"] not in OTHERS:
            counts.setdefault(u["name"], {})[u["step"]] = u["calls"]
    steps = {r["step"] for r in rows}
    for name in ("mlp_relu", "mlp_drelu", "mlp_loss", "mlp_descend"):
        calls = {counts.get(name, {}).get(s, 0) for s in steps}
        check(len(calls) == 1 and min(calls) > 0, f"{program.name}: calls of {name} a step are {counts.get(name)}")
    print(f"the fake device's own kernels: {len(rows)} steps, each with the same {sum(next(iter(c.values())) for c in counts.values())} calls")


def two_devices(bench):
    program = Program(bench, "devices", 300, "--devices", "2", every=100)
    program.run("--kernels", "on")
    by_step = {}
    for row in program.device_steps():
        by_step.setdefault(row["step"], []).append(row["device"])
    both = [s for s, devices in by_step.items() if devices == [0, 1]]
    check(len(both) >= 10, f"{program.name}: devices by step are {by_step}\n{program.why()}")
    print(f"two devices: {len(both)} steps with both")


def taken_by_a_tool(bench):
    program = Program(bench, "taken", 60)
    program.run("--kernels", "on", GNS_FAKE_CUPTI_TAKEN="1")
    check(program.device_steps() == [] and program.uses() == [], f"{program.name}: something was told")
    check(program.events("cupti_owner") == ["CUPTI for a fake tool"], f"{program.name}: owner is {program.events('cupti_owner')}")
    print("CUPTI held by a tool: said so, nothing told")


def records_that_are_lost(bench):
    """Buffers of a few records that come back once a second only: most is lost, and what is told says so or is whole."""
    program = Program(bench, "dropped", 1500, every=500)
    program.run("--kernels", "on", GNS_FAKE_CUPTI_BUFFER="1000", GNS_FAKE_CUPTI_HOLD="1", GNS_FAKE_DELAY_US="0")
    rows = program.device_steps()
    lost, abandoned = program.counter("dropped"), program.counter("steps_abandoned")
    check(lost > 100 and abandoned > 100, f"{program.name}: {lost} records lost, {abandoned} steps abandoned\n{program.why()}")
    check(len(rows) >= 10 and abandoned + len(rows) <= program.steps, f"{program.name}: {len(rows)} steps told\n{program.why()}")
    for row in rows:
        check(row["dropped"] > 0 or agrees(program, row, 0) or agrees(program, row, 1), f"{program.name}: step {row['step']} is {row}, and nothing was lost")
    print(f"buffers that do not come back: {lost} records lost, {abandoned} steps abandoned, {len(rows)} told")


def switched_off(bench):
    program = Program(bench, "off", 40)
    program.run("--kernels", "off")
    met = [r["name"] for r in common.query(program.store, "SELECT name FROM library")]
    check("cupti" not in met and program.device_steps() == [], f"--kernels off: libraries met are {met}")
    check("cublas" in met, f"libraries met are {met}")
    print("--kernels off: CUPTI was not loaded")


def another_client(bench):
    """A profiler of the program's own takes CUPTI in the middle of a window, and gets all that it asks for."""
    program = Program(bench, "client", 200, every=100)
    report = bench.path("client.txt")
    program.run("--kernels", "on", LD_PRELOAD=bench.client, CUPTI_CLIENT=report, CUPTI_CLIENT_AT="300", GNS_FAKE_CUPTI_RUNNING="1", GNS_FAKE_CUPTI_SCRIPT="")
    said = dict(line.split() for line in open(report))
    check(said.get("subscribe") == said.get("register") == said.get("enable") == "0", f"the other client met {said}")
    check(int(said["foreign"]) == 0, f"the other client was given buffers of ours: {said}")
    check(int(said["records"]) > 100, f"the other client got {said['records']} records")
    check(program.events("cupti_owner") == ["libcupti_client.so"], f"owner is {program.events('cupti_owner')}\n{program.why()}")
    check(program.counter("handed_over") == 1, program.why())
    print(f"another client: let go at once; it got {said['records']} records")


def test(args):
    with common.Bench(args, torch=False) as bench:
        bench.gpu_mlp = os.path.join(args.build, "bin", "gpu_mlp")
        fakes = os.path.join(args.build, "fakes")
        bench.client = os.path.join(args.build, "fakes", "libcupti_client.so")
        if not os.path.exists(bench.gpu_mlp):
            print("there is no gpu_mlp: built without a C++ compiler, so without fakes")
            sys.exit(77)
        bench.env.update(LD_LIBRARY_PATH=fakes, GNS_FAKE_DEVICES="2", GNS_FAKE_CUPTI_SCRIPT=bench.path("timeline"))
        write_script(bench.path("timeline"))
        for case in CASES:
            if not args.case or case.__name__ in args.case:
                case(bench)


CASES = (every_step_is_as_the_script_says, windows_are_few, what_the_fake_device_ran, two_devices, taken_by_a_tool, records_that_are_lost,
         switched_off, another_client)

if __name__ == "__main__":
    p = common.arguments(__doc__.splitlines()[0])
    p.add_argument("case", nargs="*", choices=[c.__name__ for c in CASES] + [[]])
    a = p.parse_args()
    common.main(lambda: test(a))
