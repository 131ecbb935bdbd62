"""The page and its files, put together."""

from dataclasses import replace
from importlib import resources

from fl_backdoor.analysis.report.figure import Figure, renamed
from fl_backdoor.analysis.report.figures.attacks_by_defences import attacks_by_defences
from fl_backdoor.analysis.report.figures.by_round import by_round
from fl_backdoor.analysis.report.figures.pareto import pareto
from fl_backdoor.analysis.report.figures.success_by_alpha import success_by_alpha
from fl_backdoor.analysis.report.html import Html, element, folded
from fl_backdoor.analysis.report.material import Chapter, Material
from fl_backdoor.analysis.report.plotly_bundle import plotly_js
from fl_backdoor.analysis.report.sections import single_run
from fl_backdoor.analysis.report.sections.notes import notes
from fl_backdoor.analysis.report.sections.plots import files, plot
from fl_backdoor.analysis.report.sections.question import head, question
from fl_backdoor.analysis.report.sections.results_table import results
from fl_backdoor.runs.run import Run


class Page:
    """A report, ready to be written.

    Parameters
    ----------
    material
        What it tells of.
    """

    def __init__(self, material: Material) -> None:
        self.files: dict[str, bytes] = {}
        self._several = len(material.chapters) > 1
        figures = [
            self._chapter(number, chapter) for number, chapter in enumerate(material.chapters, start=1)
        ]
        self._problems: list[str] = []
        singles = [self._single(number, run) for number, run in enumerate(material.detailed, start=1)]
        self.material = replace(material, problems=(*material.problems, *self._problems))
        self._figures, self._singles = figures, singles

    def html(self, files_folder: str) -> bytes:
        """Return the page; `files_folder` is where it says that its files are."""
        inner = [
            head(self.material),
            question(self.material),
            results(self.material),
            *self._figures,
            self._single_runs(),
            notes(self.material),
            _foot(files_folder),
        ]
        return f"<!doctype html>\n{_document(inner)}\n".encode("utf-8", "replace")

    def _chapter(self, number: int, chapter: Chapter) -> Html:
        comparison = chapter.comparison
        found: list[Figure] = [
            *success_by_alpha(comparison),
            *by_round(comparison, chapter.cases),
            *pareto(comparison),
            *attacks_by_defences(comparison),
        ]
        if self._several:
            found = [renamed(figure, f"data{number}") for figure in found]
        if not found:
            return Html()
        title = f"Figures: {comparison.dataset}" if self._several else "Figures"
        return element("section", element("h2", title), *map(self._plot, found))

    def _single(self, number: int, run: Run) -> Html:
        figures, problems = single_run.figures_of(run)
        image, more = single_run.samples(run)
        self._problems += [*problems, *more]
        plots = [self._plot(renamed(figure, f"run{number}")) for figure in figures]
        if image is not None:
            self.files[f"run{number}_samples.png"] = image
            plots = [single_run.picture(image), *plots]
        inner = plots or [element("p", "There is nothing to show of this run.")]
        where = element("p", f"Run {number}, {run.name}", class_="note")
        return folded(single_run.title(run), where, *inner, opened=number == 1)

    def _single_runs(self) -> Html:
        shown = "One run of each row that is judged, the first seed." if len(self._singles) > 1 else ""
        return element(
            "section",
            element("h2", "Single runs"),
            element("p", shown, class_="note"),
            *self._singles,
            id="runs",
        )

    def _plot(self, figure: Figure) -> Html:
        made = files(figure)
        self.files |= made
        return plot(figure, made)


def _document(inner: list[Html]) -> Html:
    return element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", "Does the defence hold?"),
            # No request ever leaves the page, whatever a run's files hold.
            element("meta", http_equiv="Content-Security-Policy", content=POLICY),
            element("link", rel="icon", href="data:,"),
            element("style", _ours("page.css")),
        ),
        element(
            "body",
            element("main", *inner),
            element("script", plotly_js()),
            element("script", _ours("page.js")),
        ),
        lang="en",
    )


POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def _foot(files_folder: str) -> Html:
    return element(
        "footer",
        element(
            "p",
            f"Each figure’s numbers as CSV, the figure as PNG and as PDF: {files_folder}/ beside this page.",
        ),
        element(
            "noscript", element("p", "The figures of this page need JavaScript; the folder has them as PNG.")
        ),
    )


def _ours(name: str) -> Html:
    return Html(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
