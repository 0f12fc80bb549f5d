#!/usr/bin/python3
"""What the preloaded library costs a process that never trains: /bin/true with and without it, in turn.

Prints the medians and their difference. Run it on an otherwise idle machine.
"""
import argparse
import os
import statistics
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def once(env):
    start = time.perf_counter()
    os.waitpid(os.posix_spawn("/bin/true", ["/bin/true"], env), 0)
    return (time.perf_counter() - start) * 1e6


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=os.path.join(ROOT, "build"))
    p.add_argument("--pairs", type=int, default=2000)
    args = p.parse_args()
    library = os.path.join(args.build, "lib", "libgnscope.so")
    plain = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    shimmed = dict(plain, LD_PRELOAD=library)
    times = {"plain": [], "preloaded": []}
    for i in range(args.pairs):
        for way in ("plain", "preloaded") if i % 2 else ("preloaded", "plain"):
            times[way].append(once(plain if way == "plain" else shimmed))
    difference = statistics.median(b - a for a, b in zip(times["plain"], times["preloaded"]))
    print("| process | plain, us | preloaded, us | difference, us |")
    print("|---|---|---|---|")
    print(f"| /bin/true | {statistics.median(times['plain']):.0f} | {statistics.median(times['preloaded']):.0f} | {difference:.0f} |")


if __name__ == "__main__":
    main()
