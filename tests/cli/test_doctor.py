"""doctor: plain words for what is there and what is not."""
import re
import time

from harness import *

REAL_SHIM, BUILD = os.environ.get("GNS_REAL_SHIM", ""), os.environ.get("GNS_BUILD", "")


@test
def before_the_first_run():
    answer = gnscope("doctor", "--store", os.path.join(folder, "none.db"))
    equal(answer.returncode, 0, answer.stdout.decode())
    contains(answer.stdout, "does not exist yet", "store")
    contains(answer.stdout, "  session  ", "sessions, of whomever")
    equal(gnscope("doctor", "--lib", "/no/lib.so", "--store", "/none").returncode, 1, "no library")


@test
def a_run_with_data():
    run("--name", "known", "--", TRAINER, 60)
    answer = gnscope("doctor", "--store", store, "known")
    equal(answer.returncode, 0, answer.stdout.decode())
    for part in ("60 of 60 measured", "layer1.weight", "coverage", store):
        contains(answer.stdout, part, "doctor")


@test
def a_run_without_data():
    run("--name", "nothing", "--", "true")
    answer = gnscope("doctor", "--store", store)
    equal(answer.returncode, 1, answer.stdout.decode())
    contains(answer.stdout, "nothing was measured", "reason")
    equal(gnscope("doctor", "--store", store, "unheard").returncode, 1, "unknown run")


@test
def a_command_that_does_not_train():
    answer = gnscope("doctor", "--", *NOTED, "sleep", "1")
    equal(answer.returncode, 1, answer.stdout.decode())
    for part in ("the shim is loaded", "no BLAS library is loaded", "nothing was measured"):
        contains(answer.stdout, part, "doctor")
    equal([f for f in os.listdir(folder) if f.startswith("gnscope-doctor-")], [], "nothing left")
    equal(sessions_left(), [], "shared memory")


@test
def a_command_that_trains_is_stopped_when_enough_was_seen():
    answer = gnscope("doctor", "--", TRAINER, "100000", "sleep_us=5000")
    equal(answer.returncode, 0, answer.stdout.decode())
    for part in ("stopped after", "layer2.weight", "measured", "1 called something that is collected"):
        contains(answer.stdout, part, "doctor")
    answer = gnscope("doctor", "--seconds", "1", "--", "sleep", "60")
    contains(answer.stdout, "stopped after", "time is up")


@test
def a_command_under_pytorch_is_explained():
    answer = gnscope("doctor", "--steps", "5", "--", TRAINER, "100000", "sleep_us=5000", "torch=1", "optimizers=2", "batch=32")
    equal(answer.returncode, 0, answer.stdout.decode())
    text = answer.stdout.decode()
    for part in ("torch     PyTorch 2.15.0: all layers measured via autograd", "stopped after", "optimizer AdamW, learning rate 0.001",
                 "measured  45.5% from PyTorch's own graph, one sample at a time, 2 parameters: layer1.weight, layer2.weight\n",
                 "left out  54.5% in a compiled region, 1 parameter: stem.weight; run it once without torch.compile",
                 "samples   32 a step: 32 in a micro-step of one process, set by the user", "another   optimizer of this program has run 2 (doctor.2)",
                 "optimizer SGD, learning rate 0.001", "of 660 parameters that this optimizer trains"):
        contains(text, part, "doctor")
    equal("warning   compiled" in text, False, "told once")
    steps = int(text.split("steps     ")[1].split(" ")[0])
    equal(5 <= steps < 2000, True, "stopped early: %d" % steps)
    one_sentence(gnscope("doctor", "--steps", "0", "--", "true"), 2, "not a whole number", "--steps 0")


def doctor(*args, status=0, **kw):
    answer = gnscope("doctor", *args, **kw)
    equal(answer.returncode, status, answer.stdout.decode())
    return answer.stdout.decode()


def lines_of(text, about):
    """What is said about something, line by line, those that follow without a name of their own included."""
    out, mine = [], False
    for line in text.split("\n"):
        name = line[7:17].strip()
        mine = name == about or (mine and not name and line[:5].strip() != "")
        if mine:
            out.append(line[17:])
    return out


@test
def a_gpu_is_explained():
    run("--name", "gpu1", "--", TRAINER, 60, "gpu=1")
    text = doctor("--store", store, "gpu1")
    equal(lines_of(text, "library"), ["/opt/cuda/libcublas.so.13: cublas 13.0.2", "/usr/lib/libcuda.so.1: cuda 13.0", "/opt/cuda/libcupti.so.13: cupti"],
          "libraries")
    equal(lines_of(text, "hooks"), ["cublas: calls of 2 of 16 were seen: cublasSgemm_v2 5, cublasGemmEx 1,234",
                                    "cuda: calls of 2 of 8 were seen: cudaGraphLaunch 40, cudaStreamEndCapture 1",
                                    "not loaded, so never called: cublaslt, cudnn, nccl"], "hooks")
    equal(lines_of(text, "graphs"), ["captures ended: 1; graphs launched: 40 times; graphs that measure: 0, steps from their replays: 0"], "captures")
    equal(lines_of(text, "kernels"), ["GPU 0 of rank 0: 0.001 ms a step, 30 of 60 steps looked at",
                                      "compute 60.0% · exposed communication 12.0% · exposed copies 0% · idle 28.0%"], "kernel times")
    equal(lines_of(text, "cupti"), ["windows: 3, steps reported: 7, given up: 0, records lost: 0; work on the host: 1.5 ms"], "CUPTI")
    equal(lines_of(text, "device"), ["contexts of CUDA: 2, device memory taken: 135 MB, driver for CUDA 13.1",
                                     "6: GEMMs on a device with an element type that is not measured (products_element_type)"], "reasons")


@test
def who_has_cupti():
    run("--name", "gpu2", "--", TRAINER, 60, "gpu=2")
    text = doctor("--store", store, "gpu2")
    equal(lines_of(text, "kernels"), ["no kernel times: CUPTI serves one client at a time, and libnsys-cupti.so had it"], "owner")
    contains("\n".join(lines_of(text, "device")), "not used: the driver refused a call of gnscope's: the device is left alone from then on (driver_error 700)",
             "why a device is not used")


@test
def a_library_that_nobody_calls():
    run("--name", "gpu3", "--", TRAINER, 60, "gpu=3")
    text = doctor("--store", store, "gpu3")
    hooks = lines_of(text, "hooks")
    contains(hooks[0], "cublas: the library is loaded, but no call of its 16 functions was seen", "loaded")
    equal(hooks[1], "not loaded, so never called: cublaslt, cudnn, nccl, cupti", "not loaded")


@test
def a_run_without_a_gpu_has_none_of_it():
    run("--name", "plain", "--", TRAINER, 60)
    text = doctor("--store", store, "plain")
    for about in ("library", "hooks", "graphs", "kernels", "cupti", "device"):
        equal(lines_of(text, about), [], about)


@test
def what_the_machine_and_the_library_have():
    text = doctor("--store", os.path.join(folder, "none.db"))
    there = os.path.exists("/proc/driver/nvidia/version")
    contains(lines_of(text, "gpu")[0], "NVRM version" if there else "no NVIDIA driver on this machine", "driver")
    equal(len(lines_of(text, "gpu")), 1, "of this library nothing is known")
    note = b"\0gnscope CUDA kernels for sm: %s\0"
    for mark, words in ((b"none", "gnscope was built without nvcc"), (b"80 90", "the shim has kernels for sm 80 90"), (b"x" * 5000, "kernels for sm xxx")):
        lib = os.path.join(folder, "libnoted.so")
        with open(SHIM, "rb") as shim, open(lib, "wb") as out:
            out.write(shim.read() + note % mark)
        text = doctor("--lib", lib, "--store", os.path.join(folder, "none.db"))
        contains(lines_of(text, "gpu")[1], words, "note")
    text = doctor("--store", os.path.join(folder, "none.db"), env=dict(os.environ, GNSCOPE_GPU="0"))
    contains("\n".join(lines_of(text, "gpu")), "GNSCOPE_GPU=0 is set", "switched off")


@test
def libraries_of_running_processes_and_of_a_command():
    """Empty shared libraries under the names of CUDA's, which is all that can be seen from outside."""
    libraries = os.path.join(folder, "cuda")
    os.mkdir(libraries)
    for name in ("libcublas.so.13", "libcudnn.so.9"):
        shutil.copy(SHIM, os.path.join(libraries, name))
    load = "import ctypes, os, sys\nfor n in os.listdir(sys.argv[1]): ctypes.CDLL(os.path.join(sys.argv[1], n))\n"
    text = doctor("--", sys.executable, "-c", load + "import time\ntime.sleep(2)", libraries, status=1)
    for name, words in (("libcublas.so.13", "cuBLAS: its GEMMs are seen"), ("libcudnn.so.9", "cuDNN: its calls are counted")):
        contains(text, "library   %s: %s" % (os.path.join(libraries, name), words), "of a command")
    trainer = subprocess.Popen([PROGRAM, "run", "--store", store, "--name", "live", "--", "env", "LD_PRELOAD=" + os.path.join(libraries, "libcublas.so.13"),
                                TRAINER, "100000", "sleep_us=2000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            text = gnscope("doctor", "--store", store).stdout.decode()
            if libraries in text:
                break
            time.sleep(0.1)
        contains("\n".join(lines_of(text, "process")), os.path.join(libraries, "libcublas.so.13") + ": cuBLAS: its GEMMs are seen", "of a running process")
    finally:
        trainer.terminate()
        trainer.wait()


@test
def a_program_on_a_gpu():
    """Against libraries that stand for CUDA's (tests/fakes). Whether it is measured is for tests/e2e."""
    program, fakes = (os.path.join(BUILD, *p) for p in (("bin", "gpu_mlp"), ("fakes",)))
    if not all(os.path.exists(p) for p in (program, REAL_SHIM, os.path.join(fakes, "libcuda.so.1"))):
        return
    env = dict(os.environ, LD_LIBRARY_PATH=fakes)
    for options, called, rest in ((["--steps", "60"], "cublas: calls of 1 of 16 were seen: cublasGemmEx 480", []),
                                  (["--steps", "60", "--capture", "10"], "cublas: calls of 1 of 16 were seen: cublasGemmEx 88",
                                   ["captures ended: 1; graphs launched: 50 times"])):
        text = gnscope("doctor", "--lib", REAL_SHIM, "--steps", "1000", "--", program, *options, env=env).stdout.decode()
        contains(lines_of(text, "library"), "%s/libcublas.so.13: cublas 13.1.0" % fakes, "library, version and path")
        contains(lines_of(text, "hooks"), called, "calls")
        contains(lines_of(text, "hooks")[1], "cublaslt: the library is loaded, but no call of its 1 function was seen", "loaded with cuBLAS")
        equal([line.split("; graphs that")[0] for line in lines_of(text, "graphs")], rest, "captures")
        without = "built without nvcc" in text
        contains(lines_of(text, "device")[0], "(no_image)" if without else "contexts of CUDA: 1, device memory taken: ", "what was taken")
    text = doctor("--lib", REAL_SHIM, "--", program, status=1)
    contains(text, "libcuda.so.1: cannot open shared object file", "without a driver")


@test
def the_table_of_hooks_is_what_the_library_exports():
    if not REAL_SHIM or not shutil.which("nm"):
        return
    exports = {line.split()[-1] for line in subprocess.run(["nm", "-D", "--defined-only", REAL_SHIM], stdout=subprocess.PIPE, check=True,
                                                          universal_newlines=True).stdout.splitlines()}
    table = set()
    for line in open(os.path.join(SOURCE, "collectors", "collectors.c")):
        for macro, name in re.findall(r'(BOTH|STREAMS)?\(?"(\w+)"', line if not line.startswith("#") else ""):
            table |= {name} | ({name + {"BOTH": "_64", "STREAMS": "_ptsz"}[macro]} if macro else set())
    table -= {"blas", "torch", "cublas", "cublaslt", "cudnn", "nccl", "cupti", "cuda", "null", "null_compute"}
    exports -= {"gnscope_mark_v1", "etext", "edata", "end", "_init", "_fini", "__bss_start", "_edata", "_end"}
    equal(sorted(exports - table), [], "exported, but not in the table")
    equal(sorted(table - exports), [], "in the table, but not exported")


@test
def a_stubborn_command_is_killed():
    answer = gnscope("doctor", "--steps", "1", "--", "sh", "-c", "trap '' TERM; \"$0\" 1000000 sleep_us=2000", TRAINER)
    contains(answer.stdout, "stopped after", "killed")
    equal(sessions_left() if os.path.exists(sessions) else [], [], "shared memory")


@test
def all_left_out_is_said():
    run("--name", "gpu", "--", TRAINER, 30, "torch=1", "left_out=5")
    text = gnscope("show", "--store", store, "gpu").stdout.decode()
    contains(text.split("\n")[0], "nothing was measured: all 3 parameters are left out: not in the processor's memory", "reason")
    contains(text, "0% of 660 trainable parameters", "coverage")
    contains(text, "warning    device: 3 parameters not in the processor's memory, as on a GPU, are left out (100% of all)", "warning")


@test
def a_command_that_fails_shows_its_last_words():
    answer = gnscope("doctor", "--", "sh", "-c", "echo one; echo 'no such data' >&2; exit 3")
    contains(answer.stdout, "failed with status 3", "status")
    contains(answer.stdout, "| no such data", "last words")


@test
def a_command_that_is_not_there():
    answer = gnscope("doctor", "--", "no-such-command-here")
    equal(answer.returncode, 127, "status")
    contains(answer.stderr, "no such command on PATH", "sentence")
    one_sentence(gnscope("doctor", "--"), 2, "missing", "nothing after --")


main()
