from fl_backdoor.analysis.report.html import Html, element, folded, joined, table


def test_text_is_escaped_and_html_is_not():
    inner = element("b", "1 < 2 & \"3\" '4'")
    assert inner == "<b>1 &lt; 2 &amp; &quot;3&quot; &#x27;4&#x27;</b>"
    assert element("p", inner, "<i>") == f"<p>{inner}&lt;i&gt;</p>"
    assert joined(["<", Html("<br>")]) == "&lt;<br>"


def test_attributes():
    assert element("a", "x", href='"><script>', class_="c", aria_label="l", hidden=True, open=False) == (
        '<a href="&quot;&gt;&lt;script&gt;" class="c" aria-label="l" hidden>x</a>'
    )
    assert element("br") == "<br>"


def test_a_table_scrolls_and_has_headers():
    found = table(["a", "b"], [["1", "<2>"]], "Some <table>")
    assert found.startswith('<div class="scroll" role="region" tabindex="0" aria-label="Some &lt;table&gt;">')
    assert '<th scope="col">b</th>' in found
    assert '<tr><th scope="row">1</th><td>&lt;2&gt;</td></tr>' in found


def test_folded():
    assert folded("more", "<") == "<details><summary>more</summary>&lt;</details>"
    assert folded("more", opened=True).startswith("<details open>")
