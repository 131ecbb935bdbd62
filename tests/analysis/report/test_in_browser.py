"""The page in headless Chromium: it is drawn without an error, on a desk and on a phone."""

import shutil
import time
from xml.etree import ElementTree

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from fl_backdoor.cli.report import write
from tests.analysis.report.made_runs import LABELS, write_images, write_run

DESK, PHONE = 1280, 390
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip(
            "there is no chromium with chromedriver: on Debian, the packages chromium and chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()


@pytest.fixture
def page(sweep):
    return sweep.files.with_name("page.html")


def show(browser, page, width):
    """Open a page of this width in pixels."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())


def draw_all(browser):
    """Unfold everything and wait until each figure is drawn."""
    browser.execute_script(
        "document.querySelectorAll('details').forEach((one) => { one.open = true; });"
        "window.dispatchEvent(new Event('beforeprint'));"
    )
    figures = browser.find_elements(By.CSS_SELECTOR, "figure[data-name]")
    until(lambda: all(figure.find_elements(By.CSS_SELECTOR, "svg.main-svg") for figure in figures))
    return figures


def text_of(element):
    """Return what a reader reads there."""
    return element.text.replace("\u00a0", " ")


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it has taken a minute"
        time.sleep(0.05)


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_page_is_drawn(browser, page, width):
    show(browser, page, width)
    figures = draw_all(browser)
    assert len(figures) == 17
    for figure in figures:
        [*_, drawn] = figure.find_elements(By.CSS_SELECTOR, "svg.main-svg")
        assert 200 < drawn.size["width"] <= width
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width, (
        "the page overflows"
    )
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_table_has_the_numbers(browser, page, width):
    show(browser, page, width)
    rows = browser.find_elements(By.CSS_SELECTOR, "table.results tbody tr")
    cells = [[text_of(cell) for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows]
    [found] = [row for row in cells if row[:2] == ["Hybrid", "α = 0.3"]]
    assert found[2:] == [
        "59.0 ± 1.0 %\n[58.0, 60.0]\nbaseline 65.0 %",
        "32.0 ± 2.0 %\n[30.0, 34.0]\nbaseline 6.0 %",
        "36.0 ± 2.0 %\n[34.0, 38.0]\nbaseline 13.0 %",
        "–",
        "–",
        "3",
        "unfinished after 2 of 2 rounds",
    ]
    verdict = text_of(browser.find_element(By.CSS_SELECTOR, ".verdict"))
    assert verdict.startswith("Under Hybrid the backdoor opens in 32.0 % of triggered samples")


def test_figures_hold_the_points_of_the_files(browser, page):
    show(browser, page, DESK)
    draw_all(browser)
    points = browser.execute_script(
        "const data = document.querySelector('[data-name=asr_by_alpha] .plot').data;"
        "return data.filter((trace) => trace.name === 'Hybrid').map((trace) => [...trace.y]);"
    )
    assert points == [pytest.approx([6, 7, 32])]


def test_what_is_folded_is_drawn_once_it_is_opened(browser, page):
    show(browser, page, DESK)
    second = browser.find_elements(By.CSS_SELECTOR, "#runs details")[1]
    assert not second.find_elements(By.CSS_SELECTOR, "svg.main-svg")
    summary = second.find_element(By.CSS_SELECTOR, "summary")
    browser.execute_script("arguments[0].scrollIntoView()", summary)
    summary.click()
    until(lambda: second.find_elements(By.CSS_SELECTOR, "svg.main-svg"))


def test_a_figure_is_saved_in_a_columns_width(browser, page, tmp_path):
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    show(browser, page, DESK)
    figure = browser.find_element(By.CSS_SELECTOR, "[data-name=asr_by_alpha]")
    for element in figure.find_elements(By.CSS_SELECTOR, "[data-inches='3.5'], a[download$='3.5in.pdf']"):
        browser.execute_script("arguments[0].click()", element)
    svg, pdf = tmp_path / "asr_by_alpha_3.5in.svg", tmp_path / "asr_by_alpha_3.5in.pdf"
    until(lambda: svg.exists() and pdf.exists())
    assert ElementTree.parse(svg).getroot().get("width") == "336"
    assert pdf.read_bytes() == (page.with_name("page_files") / pdf.name).read_bytes()


def test_texts_of_a_hostile_run_do_nothing(browser, tmp_path):
    broken = "broken = true"
    hostile = (
        f"</script><script>{broken}</script><img src=x onerror='{broken}'><a href='javascript:{broken}'>a</a>"
    )
    run = write_run(
        tmp_path / "runs" / "run", dataset=hostile, entries={"strategy": hostile, "command": hostile}
    )
    (run / "labels.csv").write_text(LABELS.replace("cat", f'"{hostile}"'))
    write_images(run)
    write([tmp_path / "runs"], tmp_path / "page.html", most_detailed=1)
    show(browser, tmp_path / "page.html", PHONE)
    draw_all(browser)
    assert browser.execute_script("return window.broken") is None
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE
    assert browser.find_element(By.CSS_SELECTOR, "table.results tbody th").text == hostile
    assert browser.get_log("browser") == []
