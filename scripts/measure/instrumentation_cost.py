#!/usr/bin/env python3
"""Measures the cost of counting and timing every message between actors.

Usage: scripts/measure/instrumentation_cost.py LOADTEST [ROUNDS]

Runs `LOADTEST messages` alternately with instrumentation and without (NETBIT_OPS__MEASURE=false).
Compares the medians of the acknowledged messages per second and of the CPU time of the server.
Prints the ratio of each.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

ARGUMENTS = "messages --users 20 --sessions 200 --senders 50 --chats 10 --messages-per-sender 200 --slow-readers 0".split()


def run(loadtest, measure):
    with tempfile.NamedTemporaryFile(suffix=".json") as figures:
        environment = dict(os.environ, NETBIT_OPS__MEASURE="true" if measure else "false")
        command = [loadtest, *ARGUMENTS, "--json", figures.name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        rate = json.load(open(figures.name))["scenarios"][0]["rate"]
    cpu = re.search(r"server CPU\s+([\d.]+) (ms|s) for the messages", done.stdout + done.stderr)
    return rate, float(cpu.group(1)) * (1000 if cpu.group(2) == "s" else 1)


def main():
    loadtest = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    taken = {True: [], False: []}
    for number in range(rounds):
        # The first run of a pair has the colder machine: alternate the order.
        for measure in (True, False) if number % 2 else (False, True):
            taken[measure].append(run(loadtest, measure))
    median = lambda measure, which: statistics.median(result[which] for result in taken[measure])
    for which, name, unit in ((0, "acknowledged", "/s"), (1, "server CPU", "ms")):
        on, off = median(True, which), median(False, which)
        ratio = on / off
        print(f"{name:14} with {on:10.0f} {unit}   without {off:10.0f} {unit}   ratio {ratio:.3f}")


main()
