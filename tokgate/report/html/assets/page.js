// Builds what is below the first screen from the page's JSON. Text from session files goes through textContent alone.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  // JSON, packed by gzip and base64: see page.py.
  async function read(id) {
    const bytes = Uint8Array.from(atob($(id).textContent), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }
  const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const drawn = new Set();
  let details = null;

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== "") element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // -- charts -----------------------------------------------------------------------------------------------------

  // Figures name their colours; a probe tells what the style sheet makes of a name now.
  function palette() {
    const probe = make("span");
    document.body.append(probe);
    const known = {};
    return {
      resolve(name) {
        if (!(name in known)) {
          probe.style.color = "";
          probe.style.color = `var(--${name.slice(1)})`;
          known[name] = getComputedStyle(probe).color;
        }
        return known[name];
      },
      done: () => probe.remove(),
    };
  }

  function coloured(value, colours, key = "") {
    if (typeof value === "string") return key.endsWith("color") && value.startsWith("@") ? colours.resolve(value) : value;
    if (Array.isArray(value)) return typeof value[0] === "object" ? value.map((item) => coloured(item, colours)) : value;
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, coloured(item, colours, name)]));
  }

  function themed(figure) {
    const colours = palette();
    const { data, layout } = coloured(figure, colours);
    const [ink, muted, line, sheet] = ["@ink", "@muted", "@line", "@sheet"].map(colours.resolve);
    colours.done();
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(name)) Object.assign(layout[name], { gridcolor: line, linecolor: line, tickcolor: line });
    }
    Object.assign(layout, {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink },
      hoverlabel: { bgcolor: sheet, bordercolor: line, align: "left", font: { color: ink } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink },
      // A finger that scrolls the page must not zoom.
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    });
    return { data, layout };
  }

  function draw(plot) {
    const { data, layout } = themed(plot.figure);
    drawn.add(plot);
    plot.setAttribute("data-drawn", "1");
    Plotly.react(plot, data, layout, { ...CONFIG, displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false });
  }

  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          seen.unobserve(entry.target);
          draw(entry.target);
        }
      }
    },
    { rootMargin: "300px" },
  );

  function redraw() {
    for (const plot of drawn) {
      if (plot.isConnected) draw(plot);
      else drawn.delete(plot);
    }
  }

  // A select for each level of the views' labels; `show` gets the labels that were chosen.
  function selects(names, views, show) {
    const chosen = [...views[0].labels];
    const found = [];
    names.forEach((name, level) => {
      const options = [...new Set(views.map((view) => view.labels[level]))];
      if (options.length < 2) return;
      const select = make("select", {}, ...options.map((option) => make("option", {}, option)));
      select.addEventListener("change", () => {
        chosen[level] = select.value;
        const exact = views.find((view) => view.labels.every((label, place) => label === chosen[place]));
        const view = exact ?? views.find((other) => other.labels[level] === select.value);
        chosen.splice(0, chosen.length, ...view.labels);
        for (const other of found) other.select.value = chosen[other.level];
        show(chosen);
      });
      found.push({ select, level, element: make("label", {}, `${name} `, select) });
    });
    return found.map(({ element }) => element);
  }

  function chart(block) {
    const plot = make("div", { class: "plot", role: "img", "aria-label": `${block.title}; its figures are in the tables` });
    const show = (labels) => {
      const view = block.views.find((other) => other.labels.every((label, place) => label === labels[place]));
      if (!view) return;
      plot.figure = view.figure;
      plot.style.minHeight = `${view.figure.layout.height}px`;
      if (drawn.has(plot)) draw(plot);
      else seen.observe(plot);
    };
    show(block.views[0].labels);
    const header = make("header", {}, make("h3", {}, block.title), ...selects(block.selects, block.views, show));
    const note = block.note ? [make("p", { class: "note" }, block.note)] : [];
    const element = make("figure", { class: "chart" }, header, ...note, plot, make("figcaption", { class: "source" }, `from ${block.source}`));
    element.choose = show;
    return element;
  }

  function charts(block) {
    const legend = make("ul", { class: "legend" });
    for (const key of block.legend) {
      const sign = make("span", { "aria-hidden": "true" }, key.sign);
      sign.style.color = `var(--${key.color.slice(1)})`;
      legend.append(make("li", {}, sign, key.name));
    }
    const figures = block.charts.map(chart);
    const choices = selects(block.selects, block.charts[0].views, (labels) => figures.forEach((figure) => figure.choose(labels)));
    return make("div", {}, make("div", { class: "tools" }, ...choices), legend, make("div", { class: "grid" }, ...figures));
  }

  // -- tables -----------------------------------------------------------------------------------------------------

  const words = (cell) => (Array.isArray(cell) ? cell[0] : cell);
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  function order(first, second, column, number) {
    const [a, b] = [first.cells[column], second.cells[column]];
    if (!number) return compare(words(a), words(b));
    return a[1] - b[1];
  }

  function table(block) {
    const state = { text: "", mark: null, column: null, down: false };
    const body = make("tbody");
    const count = make("span", { class: "count", "aria-live": "polite" });
    const lines = block.rows.map((row) => ({
      row, text: [...row.cells.map(words), row.mark].join(" ").toLowerCase(), element: line(row, block),
    }));

    function update() {
      const wanted = state.text.toLowerCase().split(/\s+/).filter(Boolean);
      const shown = lines.filter(({ row, text }) =>
        (state.mark === null || row.mark === state.mark) && wanted.every((word) => text.includes(word)));
      if (state.column !== null) {
        const { number } = block.columns[state.column];
        // Cells without a figure stay last, whichever way it is sorted.
        const empty = ({ row }) => number && row.cells[state.column][1] === null;
        shown.sort((a, b) => empty(a) - empty(b) || (empty(a) ? 0 : (state.down ? -1 : 1) * order(a.row, b.row, state.column, number)));
      }
      body.replaceChildren(...shown.flatMap(({ element }) => (element.detail ? [element, element.detail] : [element])));
      const all = `${lines.length} row${lines.length === 1 ? "" : "s"}`;
      count.textContent = shown.length === lines.length ? all : `${shown.length} of ${all}`;
    }

    const heads = block.columns.map((column, place) => {
      const button = make("button", { type: "button", title: column.title }, column.label);
      const head = make("th", { class: column.number ? "number" : "", scope: "col" }, button);
      button.addEventListener("click", () => {
        // A column of figures begins with its largest.
        state.down = state.column === place ? !state.down : column.number;
        state.column = place;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        update();
      });
      return head;
    });
    const filter = make("input", { type: "search", placeholder: "Filter: words, all of them", "aria-label": `Filter ${block.name}` });
    filter.addEventListener("input", () => { state.text = filter.value; update(); });
    const tools = make("div", { class: "tools" }, filter, ...marks(block, state, update), count);
    update();
    const head = make("thead", {}, make("tr", {}, ...heads));
    const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": block.name }, make("table", {}, head, body));
    return make("div", { class: "table" }, tools, scroll, make("p", { class: "source" }, `from ${block.source}`));
  }

  function marks(block, state, update) {
    const counts = new Map();
    for (const { mark } of block.rows) if (mark) counts.set(mark, (counts.get(mark) ?? 0) + 1);
    if (counts.size < 2) return [];
    const buttons = [...counts].map(([mark, count]) => {
      const button = make("button", { type: "button", "aria-pressed": "false", class: mark.toLowerCase() }, `${mark} ${count}`);
      button.addEventListener("click", () => {
        state.mark = state.mark === mark ? null : mark;
        buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button && state.mark !== null)));
        update();
      });
      return button;
    });
    return buttons;
  }

  function line(row, block) {
    const cells = row.cells.map((cell, place) => {
      const column = block.columns[place];
      const marked = column.label === "verdict" && row.mark;
      const name = column.number ? "number" : marked ? `mark ${row.mark.toLowerCase()}` : "";
      return make("td", { class: name }, words(cell));
    });
    const element = make("tr", {}, ...cells);
    if (row.detail || row.why.length) opens(element, cells[0], row, block.columns.length);
    return element;
  }

  // The first cell opens a line below: why the verdict is what it is, and the row's history.
  function opens(element, cell, row, width) {
    const button = make("button", { type: "button", class: "open", "aria-expanded": "false" }, ...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      if (element.detail) {
        element.detail.remove();
        element.detail = null;
      } else {
        const inside = make("div", { class: "inside" }, make("ul", {}, ...row.why.map((why) => make("li", {}, why))));
        details ??= read("details");
        details.then((charts) => { if (Object.hasOwn(charts, row.detail)) inside.append(chart(charts[row.detail])); });
        element.detail = make("tr", { class: "detail" }, make("td", { colspan: String(width) }, inside));
        element.after(element.detail);
      }
      button.setAttribute("aria-expanded", String(Boolean(element.detail)));
    });
  }

  // -- the page ---------------------------------------------------------------------------------------------------

  const BUILD = { chart, charts, table };

  let wanted = null;

  async function show(part) {
    wanted = part;
    for (const element of document.querySelectorAll("[data-part]")) element.hidden = element.dataset.part !== String(part);
    const sections = await read(`part-${part}`);
    if (wanted !== part) return;
    $("contents").replaceChildren(...sections.map((section) => make("a", { href: `#${section.id}` }, section.title)));
    seen.disconnect();
    for (const plot of drawn) Plotly.purge(plot);
    drawn.clear();
    $("body").replaceChildren(...sections.map((section) =>
      make("section", { id: section.id }, make("h2", {}, section.title), make("p", { class: "lead" }, section.lead),
        ...section.blocks.map((block) => BUILD[block.kind](block)))));
    document.documentElement.setAttribute("data-part-shown", String(part));
  }

  const pick = $("part");
  pick?.addEventListener("change", () => show(Number(pick.value)));

  const dark = matchMedia("(prefers-color-scheme: dark)");
  $("theme").addEventListener("click", () => {
    const now = document.documentElement.style.colorScheme || (dark.matches ? "dark" : "light");
    document.documentElement.style.colorScheme = now === "dark" ? "light" : "dark";
    redraw();
  });
  dark.addEventListener("change", redraw);

  show(pick ? Number(pick.value) : 0);
})();
