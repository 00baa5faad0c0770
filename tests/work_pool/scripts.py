"""Scripts run by tests, as programs of their own: what a user's program does to a pool."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(source, *args, warnings="error"):
    """The script, running in a session of its own, as in a terminal of its own."""
    # Where the tests run in the background of a shell, Ctrl-C is ignored, and children inherit that.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    return subprocess.Popen(
        [sys.executable, "-W", warnings, "-c", heed + source, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def run(source, *args):
    """The output of the script; it must end well, and say nothing on stderr."""
    with start(source, *args) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert err == ""
    return out


def run_stdin(source):
    """The output of a script that comes by stdin: a text through a pipe, or an open file."""
    through = {"input": source} if isinstance(source, str) else {"stdin": source}
    done = subprocess.run([sys.executable, "-W", "error", "-"], cwd=ROOT, capture_output=True, text=True, **through)
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_gone(pid):
    """Whether there is no such process; one that has ended, but has not been waited for, is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
