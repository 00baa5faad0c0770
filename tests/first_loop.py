"""Run the first loop of the README, with the batchup that is installed: `python first_loop.py README.md`.

`make test-wheel` runs it where a built wheel is installed, and nothing of the checkout can be imported.
"""

import re
import sys
from pathlib import Path

import batchup


def main(page):
    if not Path(batchup.__file__).is_relative_to(sys.prefix):
        sys.exit(f"expected an installed batchup, below {sys.prefix}; got {batchup.__file__}")
    block = re.search(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    exec(block[1], {})
    print(f"The first loop runs with {batchup.__file__}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
