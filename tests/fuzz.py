"""New examples for the laws and all other generated tests, for some minutes: `make fuzz MINUTES=10`."""

import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HOW_TO_KEEP_IT = """
Found one. To keep it, so that each `make test` tries it from now on:

  1. Take the arguments of the falsifying example above, and write them over the test:
     @example(recipe=..., k=3), from hypothesis import example. See it fail: .venv/bin/pytest {test}
  2. Mend the defect; the same command passes. Commit both.

It is in .hypothesis too: `make fuzz` tries it first, until it passes."""


def main(minutes):
    end = time.monotonic() + 60 * minutes
    command = [sys.executable, "-m", "pytest", "-q", "-m", "hypothesis", "-x", "--hypothesis-profile=fuzz"]
    rounds = 0
    while (left := end - time.monotonic()) > 0:
        process = subprocess.Popen([*command, "tests"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            shown, _ = process.communicate(timeout=left)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.communicate()
            break
        if process.returncode != 0:
            print(shown)
            failed = [line.split()[1] for line in shown.splitlines() if line.startswith("FAILED ")]
            if "Falsifying example" in shown:
                print(HOW_TO_KEEP_IT.format(test=" ".join(failed)))
            return 1
        rounds += 1
        print(f"round {rounds}: {shown.splitlines()[-1]}", flush=True)
    print(f"{minutes:g} minutes, {rounds} rounds to the end: no new example breaks anything")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
