"""The pages in a real browser: nothing on the console, sorting, filtering, playing, scrubbing, comparing, keys, contrast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PAGES = ["index", "toy-online", "method-good", "compare", "claims", "published"]


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails its test on anything that reaches the console, and may reach no network."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.set_offline(True)
    made = context.new_page()
    trouble: list[str] = []
    made.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    made.on("pageerror", lambda error: trouble.append(str(error)))
    made.on("dialog", lambda dialog: (trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
    made.on("request", lambda request: trouble.append(request.url) if request.url.startswith("http") else None)
    yield made
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
    return page.locator("table[data-sortable] tbody:first-of-type tr:visible th a").all_text_contents()


def test_sorting_by_mouse_and_keyboard(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    before = _methods(page)
    button = page.get_by_role("button", name="FRDist")
    button.click()
    ascending = _methods(page)
    assert ascending[0] == "good"
    head = page.locator("th", has=button)
    assert head.get_attribute("aria-sort") == "ascending"
    button.focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert _methods(page) == ascending[::-1]
    assert sorted(before) == sorted(ascending)
    assert page.locator("tbody.calibration tr[data-row]").count() == 2, "calibration rows stay apart"


def test_the_filter_lives_in_the_address_and_travels(page: Any, site: Path) -> None:
    _open(page, site, "index")
    page.get_by_label("learning").select_option("yes")
    page.get_by_label("calibration rows").select_option("no")
    page.get_by_label("track").select_option("online")
    assert "trained=yes" in page.url
    assert (
        page.locator("tr[data-row]:visible").count()
        == page.locator("tr[data-row][data-trained=yes]:visible").count()
        > 0
    )
    page.get_by_role("link", name="toy-online").click()
    assert "trained=yes" in page.url
    assert sorted(set(_methods(page))) == ["fair", "good", "good-less", "good-without"]
    _open(page, site, "index", "#data=real")
    assert page.get_by_label("data").input_value() == "real"
    assert page.locator("[data-card]:visible").count() == 0


def _frame(page: Any) -> int:
    return int(page.locator("#player").get_attribute("data-frame"))


def _until(page: Any, done: Callable[[], bool]) -> None:
    """Waits for it; the pages forbid eval, which the driver's own waiting uses."""
    for _ in range(400):
        if done():
            return
        page.wait_for_timeout(25)
    raise AssertionError("it never happened")


def _mouth(page: Any) -> str:
    return page.locator("#cast svg >> nth=2").locator("path").last.get_attribute("d")


def test_faces_play_scrub_loop_and_obey_keys(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    assert page.locator("#cast svg").count() == 2 + 2 + 2, "speaker, listener, two samples of two methods"
    assert page.locator("#channels svg").count() == 4
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
    page.keyboard.press("l")
    assert page.locator("#loop").is_checked()


def test_methods_and_clips_can_be_chosen(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    page.get_by_label("method 2").select_option("")
    # Without a floor row nothing is ranked, so the first of those with faces by name is shown.
    assert page.locator("#cast section h3").all_text_contents() == ["speaker", "listeners", "fair"]
    before = _mouth(page)
    page.locator("#clip").select_option("1")
    assert _mouth(page) == before, "the same reaction was given to both clips"
    assert "no recording" in page.locator("#voice-note").text_content()


def test_comparing_two_methods(page: Any, site: Path) -> None:
    _open(page, site, "compare", "#on=toy-online&a=good&b=fair")
    said = page.locator("#said").text_content()
    assert "good minus fair" in said
    first = page.locator("#differences tr", has_text="FRDist").text_content()
    assert "A is better" in first
    page.locator("select[name=a]").select_option("fair")
    page.locator("select[name=b]").select_option("good")
    assert "B is better" in page.locator("#differences tr", has_text="FRDist").text_content()
    assert "a=fair" in page.url
    assert page.locator("#extremes li").count() >= 3
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
        "[...document.querySelectorAll('svg.picture rect.bar')].map(b => [b.getBBox().height, Number(b.getAttribute('height'))])"
    )
    assert heights
    assert all(abs(drawn - meant) < 0.01 for drawn, meant in heights)


def test_everything_can_be_reached_by_keyboard(page: Any, site: Path) -> None:
    _open(page, site, "toy-online")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = set()
    for _ in range(160):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.tagName")
        )
    assert {"player", "play", "time", "loop", "clip", "trained", "BUTTON"} <= seen


def test_without_scripts_the_tables_are_all_there(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{site / 'toy-online'}.html")
    assert page.locator("tr[data-row]").count() == 8
    assert page.locator("noscript").count() == 1
    context.close()
