"""The recipes of the guides, which promise to be short. The pages run as documentation, as all pages do."""

import pytest

from tests.pages import ROOT, blocks_of

# A line that each recipe has, and the number of lines it may have.
RECIPES = {
    "semi_supervised.md": ("with both.loader([16, 112]", 10),
    "photos.md": ("nn.functional.cross_entropy", 25),
    "splits.md": ("[predictions[held_out]]", 6),
    "sampling.md": ("np.where(same, np.inf, far)", 6),
    "signals.md": ("groups=windows.owner", 8),
}


@pytest.mark.parametrize("page", RECIPES)
def test_a_recipe_is_short(page):
    line, most = RECIPES[page]
    [recipe] = [text for _, text in blocks_of(ROOT / "docs" / "guides" / page) if line in text]
    lines = [each for each in recipe.splitlines() if each.strip() and not each.startswith("assert ")]
    assert len(lines) <= most
