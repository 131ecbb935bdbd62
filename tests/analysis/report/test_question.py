"""The top of the page."""

import re

from fl_backdoor.analysis.report.material import gather
from fl_backdoor.analysis.report.sections.question import question
from tests.analysis.report.made_runs import write_run


def test_values_that_differ_are_in_the_order_of_numbers(tmp_path):
    for name, alpha in (("a", 0.3), ("b", 0.0), ("c", 0.05), ("d", 0.3)):
        write_run(tmp_path / name, alpha=alpha)
    page = str(question(gather([tmp_path], 0)))
    [values] = re.findall(r"attack\.alpha</t[dh]><td[^>]*>([^<]*)<", page)
    assert values == "0, 0.05, 0.3"
