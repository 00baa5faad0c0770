"""Every script of examples/ runs to its end, and checks itself what it claims."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


def run(*arguments, cwd):
    # UTF-8 as a terminal has it; the scripts run elsewhere, so that none depends on where it is called.
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, encoding="utf-8", timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_are_examples():
    names = {script.name for script in SCRIPTS}
    assert names >= {"custom_pipeline.py", "image_folder.py", "train_digits.py", "unit_test_a_stage.py"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_example_runs(script, tmp_path):
    assert run(script, cwd=tmp_path).strip()
    assert not list(tmp_path.iterdir())  # and leaves nothing behind


def test_the_unit_tests_of_an_example_are_collected_by_pytest():
    example = ROOT / "examples" / "unit_test_a_stage.py"
    assert " passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", example, cwd=ROOT)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_importing_an_example_runs_nothing(script, tmp_path):
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='imported')"
    assert run("-c", code, cwd=tmp_path) == ""


def test_image_folder_without_pillow_says_so(tmp_path):
    code = (
        "import runpy, sys; sys.modules['PIL'] = None\n"
        f"try: runpy.run_path({str(ROOT / 'examples' / 'image_folder.py')!r}, run_name='__main__')\n"
        "except SystemExit as error: print(error)"
    )
    assert "pip install pillow" in run("-c", code, cwd=tmp_path)
