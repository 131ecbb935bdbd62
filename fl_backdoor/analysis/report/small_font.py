"""A font that is embedded fast: each PDF picks its letters from it, and DejaVu Sans has 6,000 of them."""

import tempfile
from functools import cache
from pathlib import Path

FAMILY = "fl_backdoor Sans"

LETTERS = (*range(0x20, 0x250), *range(0x370, 0x400), *range(0x2010, 0x2300))
"""Latin, Greek, punctuation and mathematics; other letters come from DejaVu Sans itself."""


@cache
def families() -> list[str]:
    """Make the font known to Matplotlib and return the families to draw with, this one first."""
    from fontTools import subset
    from fontTools.ttLib import TTFont
    from matplotlib import font_manager, get_data_path

    options = subset.Options(layout_features=[], name_IDs=[], notdef_outline=True)
    options.drop_tables += ["FFTM"]  # the editor's time stamp
    font = TTFont(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    chosen = subset.Subsetter(options)
    chosen.populate(unicodes=LETTERS)
    chosen.subset(font)
    for name_id, text in {1: FAMILY, 2: "Book", 4: FAMILY, 6: FAMILY.replace(" ", "")}.items():
        font["name"].setName(text, name_id, 3, 1, 0x409)
    path = Path(_folder().name, "font.ttf")
    font.save(path)
    font_manager.fontManager.addfont(path)
    return [FAMILY, "DejaVu Sans"]


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    """Return a folder that is there as long as the program runs."""
    return tempfile.TemporaryDirectory(prefix="fl_backdoor_font_")
