"""Plotly's JavaScript, as its Python package carries it; the package itself is never imported."""

from importlib import resources

from fl_backdoor.analysis.report.html import Html


def plotly_js() -> Html:
    """Return the library, about 5 MB."""
    file = resources.files("plotly").joinpath("package_data", "plotly.min.js")
    return Html(file.read_text(encoding="utf-8").replace("</script", "<\\/script"))
