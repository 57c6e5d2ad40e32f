"""Rounds: contestants take turns in one run; what counts is the ratio inside a round, and its spread.

measure(contestants, kinds, rounds, run) calls run(contestant, kind) for every pair, in an order that rotates each round,
and prints per kind: each contestant's median, and the paired ratio of the first (ours) to each other: median, min, max.
CPU per unit is the machine's busy time during the measurement divided by the units done.
"""
import os
import statistics
import time


def busy_seconds():
    with open("/proc/stat") as stat:
        fields = [int(x) for x in stat.readline().split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def measure(contestants, kinds, rounds, run, seconds):
    results = {kind: {name: [] for name in contestants} for kind in kinds}
    costs = {kind: {name: [] for name in contestants} for kind in kinds}
    for turn in range(rounds):
        order = contestants[turn % len(contestants):] + contestants[:turn % len(contestants)]
        for kind in kinds:
            for name in order:
                before, start = busy_seconds(), time.monotonic()
                value = run(name, kind)
                elapsed = time.monotonic() - start
                results[kind][name].append(value)
                costs[kind][name].append((busy_seconds() - before) / (value * elapsed) * 1e6 if value else 0.0)
        print(f"round {turn + 1} of {rounds} done", flush=True)
    return results, costs


def show(results, costs, units):
    ours = None
    for kind, by_name in results.items():
        print(f"\n{kind} ({units[kind]})")
        print(f"  {'':<14} {'median':>12} {'min':>12} {'max':>12}   CPU us/unit   paired ratio ours/this: median [min..max]")
        names = list(by_name)
        ours = by_name[names[0]]
        for name in names:
            values = by_name[name]
            line = f"  {name:<14} {statistics.median(values):>12.1f} {min(values):>12.1f} {max(values):>12.1f}   "
            line += f"{statistics.median(costs[kind][name]):>11.2f}"
            if name != names[0]:
                ratios = [a / b for a, b in zip(ours, values)]
                line += f"   {statistics.median(ratios):.3f} [{min(ratios):.3f}..{max(ratios):.3f}]"
            print(line)


def show_times(results, unit):
    """The same for durations: results[kind][contestant] = list, one a round; the first contestant is ours."""
    for kind, by_name in results.items():
        print(f"\n{kind} ({unit})")
        print(f"  {'':<14} {'median':>9} {'min':>9} {'max':>9}   paired ratio ours/this: median [min..max]")
        names = list(by_name)
        ours = by_name[names[0]]
        for name in names:
            values = by_name[name]
            line = f"  {name:<14} {statistics.median(values):>9.2f} {min(values):>9.2f} {max(values):>9.2f}"
            if name != names[0]:
                ratios = [a / b for a, b in zip(ours, values)]
                line += f"   {statistics.median(ratios):.3f} [{min(ratios):.3f}..{max(ratios):.3f}]"
            print(line)
