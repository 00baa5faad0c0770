"""What users write type-checks, by mypy and by pyright, and what is wrong is found."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STRICT = [
    "--strict",
    "--allow-untyped-calls",  # of other packages' functions
    "--allow-redefinition",
    "--ignore-missing-imports",
    f"--cache-dir={ROOT / '.mypy_cache'}",
]


# As those have it who annotate little of their own.
LENIENT = ["--allow-untyped-defs"]


def mypy(*files, cwd):
    command = [sys.executable, "-m", "mypy", "--config-file=", *STRICT, *map(str, files)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def pyright(*files, cwd, mode="standard"):
    """What pyright, as it comes or strict, calls an error: a list of (file, line, message)."""
    # basedpyright is pyright with its own settings, and brings the Node.js that it runs on.
    settings = {
        "typeCheckingMode": mode,
        "reportUnknownMemberType": "none",  # of packages that annotate little
        "reportPossiblyUnboundVariable": "warning",
        "reportMissingImports": "none",  # of packages that not everybody has, such as PyTorch
    }
    (cwd / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*command, *map(str, files)], cwd=cwd, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == len(files), done
    return [
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["message"])
        for one in found["generalDiagnostics"]
        if one["severity"] == "error"
    ]


def readme_blocks():
    text = (ROOT / "README.md").read_text()
    shown = r"(?P<before>[^\n]*)\n+```python\n(?P<block>.*?)```"
    hidden = r"<!-- invisible-code-block: python\n(?P<hidden>.*?)-->"
    for match in re.finditer(f"{hidden}|{shown}", text, flags=re.DOTALL):
        if "skip: next" not in (match["before"] or ""):
            yield match["hidden"] or match["block"]


WRONG = """
import numpy as np
from batchup import ops
from batchup.data_source import ArrayDataSource

ds = ArrayDataSource([np.arange(9)])
ds.batch_iterator(3, shufle=True)
ds.stream(3, n_workers=2)
ops.indices(9) | ops.chunk("3")
ds.batch_iterator(3).state_dict()["position"]
ds.map(len).batch_iterator(3).load_state_dict({})
ds.batch_iterator(3).save()
ds.loader(3, drop_last=True).state_dict()["epoch"]
ds.loader(3, shuffle=12345).set_epoch("last")
"""
ERRORS = [7, 8, 9, 12, 14]


def test_the_readmes_blocks_and_what_is_wrong(tmp_path):
    """What users write as they come, of which only the second is wrong, in the lines that are."""
    blocks = list(readme_blocks())
    assert len(blocks) > 25
    (tmp_path / "readme.py").write_text("\n".join(blocks))
    (tmp_path / "wrong.py").write_text(WRONG)
    shown = mypy(*LENIENT, "readme.py", "wrong.py", cwd=tmp_path).stdout
    found = re.findall(r"^(.*):(\d+): error", shown, re.MULTILINE)
    assert found == [("wrong.py", str(line)) for line in ERRORS], shown
    found = pyright("readme.py", "wrong.py", *OF_TORCH, cwd=tmp_path)
    assert [each[:2] for each in found] == [("wrong.py", line) for line in ERRORS], found


SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
# PyTorch is not always there, and annotates little.
OF_TORCH = [script for script in SCRIPTS if script.name == "train_on_ranks.py"]


def test_the_examples_strictly(tmp_path):
    done = mypy(*SCRIPTS, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(OF_TORCH) == 1
    assert pyright(*[s for s in SCRIPTS if s not in OF_TORCH], cwd=tmp_path, mode="strict") == []
