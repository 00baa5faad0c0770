"""What users write type-checks, by mypy and by pyright, and what is wrong is found."""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.pages import PAGES, ROOT, blocks_of

# For all files: other packages' functions may have no types, and other packages may be missing.
LENIENT = '# mypy: allow-untyped-calls, allow-redefinition, disable-error-code="import-untyped,import-not-found"\n'
# For what users write who annotate little of their own; the examples are strict.
UNTYPED = f"{LENIENT}# mypy: allow-untyped-defs, allow-subclassing-any, allow-any-generics\n"
STRICT = f"{LENIENT}# pyright: strict, reportUnknownMemberType=false\n"


def mypy(*files, cwd):
    """What mypy calls an error: a list of (file, line), and all that it printed."""
    # With the settings and the cache of the run over the package, which is then not checked again.
    settings = [f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={ROOT / '.mypy_cache'}"]
    command = [sys.executable, "-m", "mypy", *settings, *files]
    shown = subprocess.run(command, cwd=cwd, capture_output=True, text=True).stdout
    assert re.search("^(Success|Found)", shown, re.MULTILINE), shown
    found = re.findall(r"^(.*):(\d+): error", shown, re.MULTILINE)
    return [(file, int(line)) for file, line in found], shown


def pyright(*files, cwd):
    """What pyright calls an error: a list of (file, line), and all that it found."""
    # basedpyright is pyright with its own settings, and brings the Node.js that it runs on.
    settings = {
        "typeCheckingMode": "standard",
        "reportUnknownMemberType": "none",  # of packages that annotate little
        "reportPossiblyUnboundVariable": "warning",
        "reportMissingImports": "none",  # of packages that may be missing, such as PyTorch
    }
    (cwd / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*command, *files], cwd=cwd, capture_output=True, text=True)
    shown = json.loads(done.stdout)
    assert shown["summary"]["filesAnalyzed"] == len(files), done
    errors = [one for one in shown["generalDiagnostics"] if one["severity"] == "error"]
    return [(Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in errors], errors


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
ERRORS = [9, 10, 11, 14, 16]


# PyTorch is not always there, and annotates little.
OF_TORCH = ["train_on_ranks.py"]


def test_the_library_and_what_users_write(tmp_path):
    """The library and the examples strictly, the blocks of pages as they are, and what is wrong, in the lines that are."""
    found, shown = mypy(cwd=ROOT)
    assert found == [], shown
    python = [[text for language, text in blocks_of(page) if language == "python"] for page in PAGES]
    programs = [[text for text in blocks if not text.startswith(">>>")] for blocks in python]
    pages = {f"{page.stem}_{n}.py": blocks for n, (page, blocks) in enumerate(zip(PAGES, programs, strict=True))}
    assert sum(map(len, pages.values())) > 100
    for name, blocks in pages.items():
        (tmp_path / name).write_text(UNTYPED + "\n".join(blocks))
    (tmp_path / "wrong.py").write_text(UNTYPED + WRONG)
    examples = sorted((ROOT / "examples").glob("*.py"))
    assert {*OF_TORCH} < {script.name for script in examples}
    for script in examples:
        strict = STRICT if script.name not in OF_TORCH else LENIENT
        (tmp_path / script.name).write_text(strict + script.read_text())
    # What is wrong in a strict file alone shows that these are checked strictly.
    (tmp_path / "untyped.py").write_text(f"{STRICT}def first(batch):\n    return batch[0]\n")
    files = [*pages, "wrong.py", "untyped.py", *(script.name for script in examples)]
    expected = {("untyped.py", 3), *(("wrong.py", line) for line in ERRORS)}
    for check in (mypy, pyright):
        found, shown = check(*files, cwd=tmp_path)
        assert {(file, line) for file, line in found if (file, line) != ("untyped.py", 4)} == expected, shown
