"""New examples for the laws and all other generated tests, for some minutes: `make fuzz MINUTES=10`."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HOW_TO_KEEP_IT = """
Found one. To keep it, so that everybody's `make test` has it from now on:

  1. Take the arguments of the falsifying example above, and write them over the test:
     @example(recipe=..., k=3), from hypothesis import example. See it fail: .venv/bin/pytest {test}
  2. Mend the defect; the same command passes. Commit both.

It is in .hypothesis too: `make fuzz` tries it first, until it passes."""


def main(minutes):
    end = time.monotonic() + 60 * minutes
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "hypothesis",
        "-x",
        "--hypothesis-profile=fuzz",
    ]
    rounds = 0
    while time.monotonic() < end:
        rounds += 1
        done = subprocess.run(
            [*command, "tests"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode != 0:
            print(done.stdout)
            failed = [
                line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")
            ]
            print(HOW_TO_KEEP_IT.format(test=" ".join(failed)))
            return 1
        print(f"round {rounds}: {done.stdout.splitlines()[-1]}", flush=True)
    print(f"{rounds} rounds of new examples, and every test passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
