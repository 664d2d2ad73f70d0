"""What a browser is asked about a page of ours: contrast and structure, by WCAG 2.2."""


def opened(browser, page_file, width, **options):
    """Open a file of ours; `problems` gathers what its console says and what else it asks for."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on(
        "request", lambda r: page.problems.append(r.url) if r.url != page_file.as_uri() else None
    )
    page.goto(page_file.as_uri())
    return page


CONTRAST = """() => {
  const part = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
  const read = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const c = read(getComputedStyle(at).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  for (const element of document.querySelectorAll("body *:not(script):not(style)")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest("svg") || !element.getClientRects().length) continue;
    const [a, b] = [light(read(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.add(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...poor];
}"""
"""Words whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3)."""
STRUCTURE = """() => {
  const faults = [];
  const levels = [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].map((h) => +h.tagName[1]);
  levels.forEach((level, i) => {
    if (level > (i ? levels[i - 1] : 0) + 1) faults.push(`h${level} after h${levels[i - 1]}`);
  });
  if (levels.filter((level) => level === 1).length !== 1) faults.push("not one h1");
  if (document.documentElement.lang !== "en") faults.push("no language");
  if (!document.title.trim()) faults.push("no title");
  for (const table of document.querySelectorAll("table")) {
    if ([...table.querySelectorAll("th")].some((th) => !th.scope)) faults.push("th without scope");
    if ([...table.tBodies].some((b) => [...b.rows].some((r) => r.cells[0].tagName !== "TH")))
      faults.push("row without a header");
  }
  for (const region of document.querySelectorAll("[role=region]"))
    if (!region.getAttribute("aria-label") && !document.getElementById(region.getAttribute("aria-labelledby")))
      faults.push("region without a name");
  for (const mark of document.querySelectorAll("td .strip > span"))
    if (!mark.getAttribute("aria-label")) faults.push("mark without words");
  return faults;
}"""
