"""The pages in a real browser: nothing on the console, sorting, filtering, playing, scrubbing, comparing, keys, contrast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import CLIPS

PAGES = [
    "index",
    "toy-online",
    "method-good",
    "compare",
    "compare-toy-online",
    "claims",
    "published",
    "speed",
    "validity",
]


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails its test on anything that reaches the console, and may reach no network."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.set_offline(True)
    new_page = context.new_page()
    trouble: list[str] = []
    new_page.on(
        "console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None
    )
    new_page.on("pageerror", lambda error: trouble.append(str(error)))
    new_page.on("dialog", lambda dialog: (trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
    new_page.on("request", lambda request: trouble.append(request.url) if request.url.startswith("http") else None)
    yield new_page
    context.close()
    assert not trouble


def _open(page: Any, site: Path, name: str, anchor: str = "") -> None:
    page.goto("about:blank")
    page.goto(f"file://{site / name}.html{anchor}")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [360, 1600])
def test_pages_load_fit_and_have_one_heading(page: Any, site: Path, name: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    _open(page, site, name)
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, select, input, a[href], svg[role=img], [role=region], [role=group]')]
        .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []


def _methods(page: Any) -> list[str]:
    return page.locator("table[data-sortable]").first.locator("tbody tr:visible th a").all_text_contents()


def test_sorting_puts_the_best_first_and_lives_in_the_address(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    before = _methods(page)
    for name in ("FRCorr", "FRDist"):  # more is better, less is better
        button = page.get_by_role("button", name=name).first
        button.click()
        best_first = _methods(page)
        assert best_first[0] == "good", name
        assert f"sort={name}" in page.url
        head = page.locator("th", has=button).first
        assert head.get_attribute("aria-sort") == "ascending"
        button.focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        assert _methods(page) == best_first[::-1]
    assert sorted(before) == sorted(best_first)
    _open(page, site, "toy-online", "#sort=-method")
    assert _methods(page)[0] == "good-without"
    assert page.locator("table[data-sortable]").nth(1).locator("tr[data-row]").count() == 3, "references stay apart"


def test_columns_are_chosen_and_the_choice_lives_in_the_address(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    heads = page.locator("table[data-sortable]").first.locator("thead th:visible")
    assert heads.count() <= 8
    page.get_by_text("Choose columns").click()
    page.get_by_label("parameters").check()
    page.locator(".chooser").get_by_label("FRDist").uncheck()
    assert "cols=" in page.url
    assert any(text.startswith("parameters") for text in heads.all_text_contents())
    assert not any("FRDist" in text for text in heads.all_text_contents())


def test_a_link_shows_the_same_columns_order_and_filter(page: Any, site: Path) -> None:
    _open(page, site, "toy-online", "#sort=-FRDist&cols=FRDist,seeds&trained=yes")
    heads = page.locator("table[data-sortable]").first.locator("thead th:visible").all_text_contents()
    assert any(text.startswith("seeds") for text in heads)
    assert not any(text.startswith("FRDist") for text in heads)
    assert _methods(page) == ["fair", "good-less", "good-without", "good"]
    assert page.locator("select[name=trained]").input_value() == "yes"


def test_the_index_filters_benchmarks(page: Any, site: Path) -> None:
    _open(page, site, "index", "#data=real")
    assert page.get_by_label("data").input_value() == "real"
    assert page.locator("[data-card]:visible").count() == 0
    page.get_by_label("data").select_option("")
    assert page.locator("[data-card]:visible").count() == 2
    assert page.locator("[data-count]").text_content() == "2 benchmarks"
    page.evaluate("document.querySelector('[data-card]').dataset.track = 'offline'")
    page.get_by_label("track").select_option("online")
    assert page.locator("[data-count]").text_content() == "1 benchmark"


def _frame(page: Any) -> int:
    return int(page.locator("#player").get_attribute("data-frame"))


def _until(page: Any, ready: Callable[[], bool]) -> None:
    """Waits for it; the pages forbid eval, which the driver's own waiting uses."""
    for _ in range(400):
        if ready():
            return
        page.wait_for_timeout(25)
    raise AssertionError("it never happened")


def _mouth(page: Any) -> str:
    return page.locator("#cast svg >> nth=2").locator("path").last.get_attribute("d")


def test_faces_play_scrub_loop_and_obey_keys(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    assert page.locator("#cast svg").count() == 2 + 2 + 2, "speaker, listener, two samples of two methods"
    assert page.locator("#channels .strip").count() == 4 * 4, "four channels of four people"
    still = _mouth(page)
    page.locator("#time").fill("30")
    assert _frame(page) == 30
    assert _mouth(page) != still
    assert page.locator("#time").get_attribute("aria-valuetext") == "1.2 s of 2.0"
    assert page.locator("#channels .cursor").first.get_attribute("x1") == "30"
    page.locator("#player").focus()
    for key, frame in (("ArrowRight", 31), ("ArrowLeft", 30), ("End", 49), ("Home", 0)):
        page.keyboard.press(key)
        assert _frame(page) == frame, key
    page.keyboard.press(" ")
    assert page.locator("#play").get_attribute("aria-pressed") == "true"
    _until(page, lambda: _frame(page) > 3)
    page.locator("#play").click()
    held = _frame(page)
    page.wait_for_timeout(150)
    assert _frame(page) == held
    page.locator("#loop").uncheck()
    page.keyboard.press("Tab")
    page.locator("#player").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press(" ")
    _until(page, lambda: page.locator("#play").get_attribute("aria-pressed") == "false")
    assert _frame(page) == 49, "without the loop it stops at the end"
    page.keyboard.press("L")
    assert page.locator("#loop").is_checked()


def test_methods_and_clips_can_be_chosen(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    page.get_by_label("method 2").select_option("")
    assert page.locator("#cast section h3").all_text_contents() == ["speaker", "listeners", "good"]
    before = _mouth(page)
    page.locator("#clip").select_option(CLIPS[12])
    assert _mouth(page) == before, "the same reaction was given to both clips"
    assert "no recording" in page.locator("#voice-note").text_content()
    page.locator("#time").fill("20")
    page.locator("#time").dispatch_event("change")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert _frame(page) == 20, "the address keeps the moment"
    assert page.locator("#clip").input_value() == CLIPS[12]
    assert page.locator("#cast section h3").all_text_contents() == ["speaker", "listeners", "good"]


def test_comparing_two_methods(page: Any, site: Path) -> None:
    _open(page, site, "compare-toy-online", "#a=good&b=fair")
    message = page.locator("#said").text_content()
    assert "good minus fair" in message
    assert "good is better in 3 metrics, fair in 0" in message
    assert "of simulated people" in message
    assert "near 0.1" in page.locator("#differences tr", has_text="FRDiv").text_content()
    first = page.locator("#differences tr", has_text="FRDist").text_content()
    assert "A is better" in first
    page.locator("select[name=a]").select_option("fair")
    page.locator("select[name=b]").select_option("good")
    assert "B is better" in page.locator("#differences tr", has_text="FRDist").text_content()
    assert "a=fair" in page.url
    assert page.locator("#extremes li").count() >= 3
    page.locator("select[name=b]").select_option("mime")
    assert "mime is random and ran with one seed" in page.locator("#said").text_content()
    assert "one seed" in page.locator("#differences tr", has_text="FRDist").text_content()
    page.locator("#differences .term").first.focus()
    assert page.locator("#differences .tip").first.is_visible(), "what a metric is opens by keyboard"
    page.locator("select[name=b]").select_option("good")
    page.locator("select[name=on]").select_option(label="toy-offline")
    _until(
        page,
        lambda: "fair minus good" in page.locator("#said").text_content() and "toy-offline" in page.url,
    )
    assert "a=fair" in page.url, "the methods go along to the other benchmark"
    page.locator("select[name=b]").select_option("fair")
    assert "two different" in page.locator("#said").text_content()


CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (c) => { canvas.clearRect(0,0,1,1); canvas.fillStyle = c; canvas.fillRect(0,0,1,1); return [...canvas.getImageData(0,0,1,1).data]; };
  const lum = ([r,g,b]) => { const f = [r,g,b].map(v => { v/=255; return v<=0.03928 ? v/12.92 : ((v+0.055)/1.055)**2.4; }); return 0.2126*f[0]+0.7152*f[1]+0.0722*f[2]; };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] > 200) return c; } return rgb(getComputedStyle(document.body).backgroundColor); };
  const bad = [];
  for (const e of document.querySelectorAll('main *, header *, footer *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length || e.closest('noscript, script, style')) continue;
    const style = getComputedStyle(e);
    const colour = e instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [lum(rgb(colour)), lum(ground(e))];
    const ratio = (Math.max(a,b)+0.05)/(Math.min(a,b)+0.05);
    if (ratio < 4.5) bad.push(`${e.tagName} ${ratio.toFixed(2)} ${e.textContent.slice(0,30)}`);
  }
  return bad.slice(0, 5);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_text_stands_out_in_both_themes(page: Any, site: Path, name: str, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    _open(page, site, name)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate(CONTRAST) == []


def test_bars_of_a_histogram_stand_on_its_axis(page: Any, site: Path) -> None:
    """A style meant for the tables' bars once cut them off."""
    _open(page, site, "method-good")
    heights = page.evaluate(
        "[...document.querySelectorAll('.wide svg.picture rect.bar')].map(b => [b.getBBox().height, Number(b.getAttribute('height'))])"
    )
    assert heights
    assert all(abs(top - meant) < 0.01 for top, meant in heights)


def test_everything_can_be_reached_by_keyboard(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    focused = set()
    for _ in range(160):
        page.keyboard.press("Tab")
        focused.add(
            page.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.tagName")
        )
    assert {"player", "play", "time", "loop", "clip", "trained", "BUTTON"} <= focused


def test_without_scripts_the_tables_are_all_there(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{site / 'toy-online'}.html")
    assert page.locator("tr[data-row]").count() == 9
    assert page.locator("noscript").count() == 1
    assert page.locator("thead th", has_text="seeds").first.is_visible(), (
        "all columns are shown: nothing could be chosen"
    )
    assert page.locator("#behaviour").is_visible()
    for dead in ("select", "#play", ".chooser"):
        assert page.locator(dead).first.is_hidden(), f"{dead} would do nothing"
    context.close()


# --- three things that a reader comes for, each in at most three clicks --------------------------------------


def test_task_the_best_online_method_and_whether_it_beats_the_floor(page: Any, site: Path) -> None:
    _open(page, site, "index", "#track=online")
    page.get_by_role("link", name="toy-online").click()  # 1
    assert page.locator(".verdictline").text_content() == "good leads alone."
    assert "All 2 ranked rows beat the floor" in page.locator(".sentences").text_content()
    box = page.locator(".verdictline").bounding_box()
    assert box["y"] + box["height"] < 800, "on the first screen"


def test_task_where_a_method_fails_and_watching_it(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    page.locator(".ladder a", has_text="good").first.click()  # 1
    page.get_by_role("link", name="where it fails").last.click()  # 2
    assert page.get_by_role("heading", name="Worst clips by FRCorr").first.is_visible()
    page.locator("section", has_text="On toy-online").get_by_role("link", name="clip0>them").last.click()  # 3
    assert page.locator("#clip").input_value() == "clip0>them"
    assert page.locator("#cast section h3").all_text_contents() == ["speaker", "listeners", "good"]
    assert page.locator("#player").bounding_box()["y"] < 800


def test_task_a_table_as_csv_and_a_citation(page: Any, site: Path) -> None:
    _open(page, site, "index")
    page.get_by_role("link", name="toy-online").click()  # 1
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()  # 2
    assert Path(download.value.path()).read_text().startswith("benchmark,suite,")
    page.get_by_role("link", name="Cite").click()  # 3
    assert page.locator("pre", has_text="@software{dyadbench-toy-online").is_visible()


# --- for everybody ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_fault(browser: Any, site: Path, name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e '.[test]'")
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(f"file://{site / name}.html")
    violations = axe.Axe().run(page).response["violations"]
    context.close()
    assert [
        (one["id"], one["nodes"][0]["html"]) for one in violations if one["impact"] in ("serious", "critical")
    ] == []


def test_a_word_is_explained_by_focus(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    word = page.locator("#ranks .term", has_text="Skill").or_(page.locator("#ranks .term", has_text="skill")).first
    assert word.locator(".tip").is_hidden()
    word.focus()
    assert word.locator(".tip").is_visible()


def test_on_paper_nothing_is_cut_and_no_control_is_left(page: Any, site: Path) -> None:
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 at 96 dots per inch
    _open(page, site, "toy-online")
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    for control in ("#player", ".filters", ".chooser"):
        assert page.locator(control).first.is_hidden()
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.offsetParent).length"
    assert page.evaluate(wide) == 0


@pytest.mark.parametrize("name", PAGES)
def test_text_of_twice_the_size_still_fits(page: Any, site: Path, name: str) -> None:
    page.set_viewport_size({"width": 640, "height": 800})
    _open(page, site, name)
    page.evaluate("document.documentElement.style.fontSize = '200%'; document.body.style.fontSize = '32px'")
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
