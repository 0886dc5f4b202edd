/* The page of a benchmark function: its runs over time, which of them are shown, and what is under the pointer. */
"use strict";
(() => {
  const DAY = 86400e3;
  const SHOWN_AT_ONCE = 12;

  class Benchmark {
    constructor(main) {
      this.main = main;
      this.page = JSON.parse(main.querySelector("#page").textContent);
      this.charts = main.querySelector("#charts");
      this.hover = main.querySelector("#hover");
      this.units = new Map();
      this.figures = null;
      this.focus = null; // the run that the keyboard is at: {unit, row}
      this.everything = crt.state.get("metric") === "all";
    }

    async start() {
      this.runtimes();
      this.ranges();
      const every = this.main.querySelector("#all-metrics");
      every.setAttribute("aria-pressed", String(this.everything));
      every.addEventListener("click", () => {
        this.everything = !this.everything;
        every.setAttribute("aria-pressed", String(this.everything));
        crt.state.set({ metric: this.everything ? "all" : null });
        this.draw();
      });
      const logarithmic = this.main.querySelector("#logarithmic");
      logarithmic.setAttribute("aria-pressed", String(this.logarithmic));
      logarithmic.addEventListener("click", () => {
        crt.state.set({ scale: this.logarithmic ? null : "log" });
        logarithmic.setAttribute("aria-pressed", String(this.logarithmic));
        this.draw();
      });
      document.addEventListener("crt:metric", () => {
        if (!this.main.isConnected) return;
        this.everything = false;
        every.setAttribute("aria-pressed", "false");
        this.draw();
      });
      crt.state.on(() => this.restore());
      this.only();
      this.charts.addEventListener("keydown", (event) => this.key(event));
      this.main.querySelector("#runs").addEventListener("toggle", () => this.table());
      const script = crt.script("plotly.min.js");
      this.figures = await crt.load(this.page.figures);
      await this.load();
      await script;
      await this.draw();
      this.phases();
      await this.restore();
    }

    /** A search leads to one test of the function: the others are hidden, and can be shown again. */
    only() {
      const wanted = crt.state.get("only");
      if (!wanted) return;
      const names = this.page.traces || {};
      const kept = names[wanted];
      const others = Object.values(names).filter((trace) => trace !== kept);
      crt.state.set({ only: null, hide: kept && others.length ? others.join("\u001f") : null });
    }

    /** The ids of the runtimes that are shown: those of the address, else the busiest. */
    get shown() {
      const asked = (crt.state.get("runtime") || "").split(",").filter(Boolean);
      const known = this.page.units.map((unit) => unit.runtime);
      const wanted = asked.filter((id) => known.includes(id));
      if (wanted.length) return wanted;
      // the busiest that has what is to be seen
      const figure = this.figures && this.figures[this.chosen];
      const drawn = figure ? known.filter((id) => figure.data.some((trace) => trace.meta.runtime === id)) : [];
      return (drawn.length ? drawn : known).slice(0, 1);
    }

    /** The metric that is drawn: the site's, or the first that this benchmark has. */
    get chosen() {
      const known = this.page.metrics.map((metric) => metric.key);
      return known.includes(crt.metric()) ? crt.metric() : known[0];
    }

    /** Whether equal ratios are equally high: on a page with short and long tests small changes are seen, too. */
    get logarithmic() {
      return crt.state.get("scale") === "log";
    }

    get hidden() {
      return new Set((crt.state.get("hide") || "").split("\u001f").filter(Boolean));
    }

    async load() {
      const wanted = this.page.units.filter((unit) => this.shown.includes(unit.runtime) && !this.units.has(unit.name));
      await Promise.all(wanted.map(async (unit) => this.units.set(unit.name, await crt.unit(unit.name))));
    }

    runtimes() {
      const box = this.main.querySelector("#runtimes");
      if (this.page.units.length < 2) box.hidden = true;
      const chip = (unit) =>
        crt.el(
          "button",
          { type: "button", class: "chip", "aria-pressed": String(this.shown.includes(unit.runtime)), on: { click: () => this.toggleRuntime(unit.runtime) } },
          unit.text,
          crt.el("small", {}, ` ${unit.runs.toLocaleString("en-US")}`),
        );
      const first = this.page.units.slice(0, SHOWN_AT_ONCE).map(chip);
      const rest = this.page.units.slice(SHOWN_AT_ONCE);
      const more = rest.length
        ? crt.el("details", { class: "more-chips" }, crt.el("summary", {}, `${rest.length} more`), crt.el("div", { class: "chips" }, rest.map(chip)))
        : null;
      box.replaceChildren(...[...first, more].filter(Boolean));
    }

    async toggleRuntime(id) {
      const shown = new Set(this.shown);
      if (shown.has(id)) shown.delete(id);
      else shown.add(id);
      const text = this.page.units.map((unit) => unit.runtime).filter((each) => shown.has(each)).join(",");
      crt.state.set({ runtime: text || null });
      await this.draw();
    }

    ranges() {
      const box = this.main.querySelector("#ranges");
      const last = Math.max(0, ...this.page.units.map((unit) => unit.last || 0));
      box.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (!button) return;
        const days = Number(button.dataset.days);
        crt.state.set(
          days ? { from: crt.date(last - days * DAY, false), to: crt.date(last + DAY, false) } : { from: null, to: null },
        );
        this.zoom();
      });
    }

    /** The stretch of time that is asked for, or null for all of it. */
    get range() {
      const [from, to] = [crt.state.get("from"), crt.state.get("to")];
      const sound = (text) => text && Number.isFinite(Date.parse(text));
      return sound(from) && sound(to) ? [from, to] : null;
    }

    zoom() {
      const range = this.range;
      for (const chart of this.charts.querySelectorAll(".js-plotly-plot")) {
        if (chart.offsetParent === null) continue;
        window.Plotly.relayout(chart, range ? { "xaxis.range": range.slice(), "yaxis.autorange": true } : { "xaxis.autorange": true, "yaxis.autorange": true });
      }
      this.zoomed();
    }

    /** What else shows the stretch of time. */
    zoomed() {
      const range = this.range;
      const days = range ? Math.round((Date.parse(range[1]) - Date.parse(range[0])) / DAY) - 1 : "";
      for (const button of this.main.querySelectorAll("#ranges button")) {
        button.setAttribute("aria-pressed", String(button.dataset.days === String(days)));
      }
      this.table();
    }

    /** The traces of a figure that are to be seen, and their shapes. */
    visible(figure) {
      const shown = new Set(this.shown);
      const hidden = this.hidden;
      const fits = (trace) => shown.has(trace.meta.runtime) && !hidden.has(this.text(trace));
      const data = figure.data.filter(fits);
      const names = new Set(data.filter((trace) => trace.meta.kind === "level").map((trace) => `${this.unitOf(trace.meta.runtime)}/${trace.meta.series}`));
      const marks = (this.figures.environment || []).filter((trace) => shown.has(trace.meta.runtime));
      return {
        data: [...data, ...marks],
        layout: {
          ...figure.layout,
          yaxis: { ...figure.layout.yaxis, type: this.logarithmic ? "log" : "linear" },
          shapes: (figure.layout.shapes || []).filter((shape) => names.has(shape.name)),
        },
      };
    }

    text(trace) {
      return trace.meta.series === null ? "" : trace.name;
    }

    unitOf(runtime) {
      const unit = this.page.units.find((each) => each.runtime === runtime);
      return unit && unit.name;
    }

    async draw() {
      const known = this.page.metrics.map((metric) => metric.key);
      const chosen = this.chosen;
      const keys = this.everything ? known : chosen ? [chosen] : [];
      if (!keys.length) {
        this.charts.replaceChildren(crt.el("p", { class: "empty" }, "No run has any value: all of them failed or were skipped."));
        return;
      }
      const boxes = keys.map((key) => {
        const metric = this.page.metrics.find((each) => each.key === key);
        const chart = crt.el("div", { class: this.everything ? "chart chart-short" : "chart", tabindex: "0", "data-metric": key });
        return [key, chart, crt.el("figure", {}, crt.el("figcaption", {}, metric.label), chart)];
      });
      this.charts.replaceChildren(...boxes.map(([, , figure]) => figure));
      if (chosen && !known.includes(crt.metric()) && crt.metric() !== "all") {
        this.charts.prepend(crt.el("p", { class: "note" }, "This benchmark has not the chosen metric; its first one is shown."));
      }
      this.runtimes();
      try {
        await this.load();
      } catch (error) {
        crt.complain(this.charts, error);
      }
      if (!this.everything) {
        await this.plot(...boxes[0]);
        this.chipsOfTraces(boxes[0][0]);
        this.zoomed();
        return;
      }
      // many charts are drawn as they come into view
      const seen = new IntersectionObserver((entries) => {
        for (const entry of entries) {
          if (!entry.isIntersecting) continue;
          seen.unobserve(entry.target);
          const box = boxes.find(([, chart]) => chart === entry.target);
          this.plot(...box).then(() => this.range && this.zoom());
        }
      }, { rootMargin: "300px" });
      for (const [, chart] of boxes) seen.observe(chart);
      this.chipsOfTraces(keys[0]);
    }

    async plot(key, chart) {
      const figure = this.visible(this.figures[key]);
      if (!figure.data.some((trace) => trace.meta.series !== null)) {
        chart.replaceWith(crt.el("p", { class: "empty" }, "Nothing that is switched on has a value of this metric."));
        return;
      }
      const range = this.range;
      if (range) figure.layout = { ...figure.layout, xaxis: { ...figure.layout.xaxis, range: range.slice() } };
      await crt.draw(chart, figure, this.units);
      chart.on("plotly_hover", (event) => this.point(event.points[0], key));
      chart.on("plotly_unhover", () => (this.hover.hidden = true));
      chart.on("plotly_click", (event) => {
        const found = this.runOf(event.points[0]);
        if (found) this.open(found.unit, found.row);
      });
      chart.on("plotly_relayout", (event) => {
        const [from, to] = [event["xaxis.range[0]"], event["xaxis.range[1]"]];
        if (from && to) {
          crt.state.set({ from: String(from).slice(0, 16).replace(" ", "T"), to: String(to).slice(0, 16).replace(" ", "T") });
          this.table();
        } else if (event["xaxis.autorange"] && this.range) crt.state.set({ from: null, to: null });
      });
    }

    chipsOfTraces(key) {
      const box = this.main.querySelector("#traces");
      const shown = new Set(this.shown);
      const levels = this.figures[key].data.filter((trace) => trace.meta.kind === "level" && shown.has(trace.meta.runtime));
      const names = new Map();
      for (const trace of levels) if (!names.has(trace.name)) names.set(trace.name, trace.line.color);
      box.hidden = names.size < 2;
      const hidden = this.hidden;
      box.replaceChildren(
        ...[...names].map(([name, colour]) => {
          const swatch = crt.el("span", { class: `swatch ${colour}`, "aria-hidden": "true" });
          return crt.el(
            "button",
            { type: "button", class: "chip", "aria-pressed": String(!hidden.has(name)), on: { click: () => this.toggleTrace(name) } },
            swatch,
            plain(name),
          );
        }),
      );
    }

    async toggleTrace(name) {
      const hidden = this.hidden;
      if (hidden.has(name)) hidden.delete(name);
      else hidden.add(name);
      crt.state.set({ hide: [...hidden].join("\u001f") || null });
      await this.draw();
    }

    /** The run behind a point of a chart. */
    runOf(point) {
      const meta = point && point.data.meta;
      if (!meta || !["points", "failed", "profiled"].includes(meta.kind)) return null;
      const name = this.unitOf(meta.runtime);
      return this.units.has(name) ? { unit: name, row: point.customdata } : null;
    }

    point(point, key) {
      const found = this.runOf(point);
      if (!found) {
        this.hover.hidden = true;
        return;
      }
      this.card(found.unit, found.row, key);
    }

    drawnMetric() {
      const chart = this.charts.querySelector(".chart");
      return chart ? chart.dataset.metric : this.page.metrics[0].key;
    }

    /** What is under the pointer, in words. */
    card(name, row, key) {
      const unit = this.units.get(name);
      const series = unit.series[unit.seriesOf[row]];
      const environment = unit.environments[unit.environment[row]];
      const metric = this.page.metrics.find((each) => each.key === (key || this.drawnMetric()));
      const stored = metric && unit.metric(metric.key);
      const value = stored ? crt.format(stored[row], metric) : "–";
      const kind = unit.kind(row);
      const versions = environment
        ? Object.entries(environment.versions)
            .filter(([package_]) => ["dask", "distributed"].includes(package_))
            .map(([package_, version]) => `${package_} ${version || "?"}${environment.commits[package_] ? ` (${environment.commits[package_].slice(0, 8)})` : ""}`)
        : [];
      const facts = [crt.date(unit.time[row]), unit.label, environment && `Python ${environment.python || "?"}`, ...versions];
      this.hover.replaceChildren(
        crt.el("b", {}, kind === "passed" ? value : `${crt.OUTCOMES[unit.outcome[row]]}${kind === "profiled" ? ", profiled" : ""} ${stored && !Number.isNaN(stored[row]) ? value : ""}`),
        crt.el("span", {}, clip(series.trace, 60)),
        ...facts.filter(Boolean).map((fact) => crt.el("span", { class: "fact" }, clip(fact, 90))),
      );
      this.hover.hidden = false;
    }

    /** Left and right go from run to run, Enter opens the one that is told. */
    key(event) {
      if (event.key === "Enter" && this.focus) {
        this.open(this.focus.unit, this.focus.row);
        event.preventDefault();
        return;
      }
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const names = [...this.units.keys()].filter((name) => this.page.units.some((unit) => unit.name === name && this.shown.includes(unit.runtime)));
      if (!names.length) return;
      const hidden = this.hidden;
      const rowsOf = (name) => {
        const unit = this.units.get(name);
        return [...unit.time.keys()].filter((row) => unit.kind(row) !== "skipped" && !hidden.has(unit.series[unit.seriesOf[row]].trace));
      };
      const name = this.focus && names.includes(this.focus.unit) ? this.focus.unit : names[0];
      const rows = rowsOf(name);
      if (!rows.length) return;
      const place = this.focus && this.focus.unit === name ? rows.indexOf(this.focus.row) : step > 0 ? -1 : rows.length;
      const next = rows[Math.min(rows.length - 1, Math.max(0, place + step))];
      this.focus = { unit: name, row: next };
      const key = event.target.closest(".chart")?.dataset.metric;
      this.card(name, next, key);
      this.hover.setAttribute("role", "status");
      this.hover.removeAttribute("aria-hidden");
    }

    open(name, row) {
      this.hover.hidden = true;
      this.focus = { unit: name, row };
      crt.runPanel.open(this, name, row);
    }

    /** Show what the address asks for: a run that somebody sent a link to, a change. */
    async restore() {
      if (crt.state.get("only")) {
        this.only();
        await this.draw();
      }
      const asked = crt.state.get("run");
      if (!asked) {
        crt.runPanel.close();
        return;
      }
      if (crt.runPanel.shown === asked) return;
      const wanted = crt.state.get("runtime");
      const order = [...this.page.units].sort((left, right) => (right.runtime === wanted) - (left.runtime === wanted));
      for (const each of order) {
        try {
          if (!this.units.has(each.name)) this.units.set(each.name, await crt.unit(each.name));
          const row = await this.units.get(each.name).find(asked);
          if (row < 0) continue;
          this.open(each.name, row);
          return;
        } catch (error) {
          crt.complain(this.charts, error);
          return;
        }
      }
      crt.complain(this.charts, new Error(`This benchmark has no run ${asked}.`));
    }

    phases() {
      const figures = this.figures.phases || {};
      const section = this.main.querySelector("#phases");
      const choices = [];
      for (const unit of this.page.units) {
        for (const key of Object.keys(figures)) {
          if (!key.startsWith(`${unit.name}/`) || !figures[key].data.length) continue;
          const name = figures[key].layout.meta.series || key;
          choices.push([key, unit.name, this.page.units.length > 1 ? `${plain(name)} · ${unit.text}` : plain(name)]);
        }
      }
      if (!choices.length) return;
      section.hidden = false;
      const select = section.querySelector("select");
      select.replaceChildren(...choices.map(([key, , text]) => crt.el("option", { value: key }, clip(text, 100))));
      const chart = section.querySelector("#phase-chart");
      const show = async () => {
        const [key, name] = choices.find(([each]) => each === select.value);
        if (!this.units.has(name)) this.units.set(name, await crt.unit(name));
        await crt.draw(chart, figures[key], this.units);
      };
      select.addEventListener("change", () => show().catch((error) => crt.complain(section, error)));
      // a little later, when there is nothing else to do: it is there when somebody scrolls to it, or prints the page
      const idle = window.requestIdleCallback || ((then) => then());
      setTimeout(() => idle(() => show().catch((error) => crt.complain(section, error))), 1000);
    }

    /** The runs that the chart shows, as a table: the newest first, at most 500 of them. */
    table() {
      const details = this.main.querySelector("#runs");
      if (!details.open) return;
      const range = this.range;
      const [from, to] = range ? range.map((text) => Date.parse(text)) : [-Infinity, Infinity];
      const hidden = this.hidden;
      const rows = [];
      for (const each of this.page.units) {
        const unit = this.units.get(each.name);
        if (!unit || !this.shown.includes(each.runtime)) continue;
        for (let row = 0; row < unit.length; row += 1) {
          const inside = Number.isNaN(unit.time[row]) ? !range : unit.time[row] >= from && unit.time[row] <= to;
          if (inside && !hidden.has(unit.series[unit.seriesOf[row]].trace)) rows.push([each, unit, row]);
        }
      }
      rows.sort((left, right) => (right[1].time[right[2]] || 0) - (left[1].time[left[2]] || 0));
      const metrics = this.page.metrics;
      const head = ["Start", "Parameters", "Runtime", "Outcome", ...metrics.map((metric) => metric.label)];
      const cells = ([each, unit, row]) => [
        crt.el("td", { "data-value": unit.time[row] || 0 }, crt.el("button", { type: "button", class: "link", on: { click: () => this.open(each.name, row) } }, crt.date(unit.time[row]))),
        crt.el("td", {}, clip(unit.series[unit.seriesOf[row]].trace, 60)),
        crt.el("td", {}, each.text),
        crt.el("td", { class: unit.kind(row) === "failed" ? "bad" : "" }, crt.OUTCOMES[unit.outcome[row]] + (unit.profiled[row] ? ", profiled" : "")),
        ...metrics.map((metric) => {
          const value = unit.metric(metric.key) ? unit.metric(metric.key)[row] : NaN;
          return crt.el("td", { class: "number", "data-value": Number.isNaN(value) ? "" : value }, crt.format(value, metric));
        }),
      ];
      const table = crt.el(
        "table",
        { class: "sortable", "data-name": this.page.name.slice(0, 60) },
        crt.el("thead", {}, crt.el("tr", {}, head.map((text, index) => crt.el("th", { scope: "col", class: index > 3 ? "number" : "" }, text)))),
        crt.el("tbody", {}, rows.slice(0, 500).map((row) => crt.el("tr", {}, cells(row)))),
      );
      const box = this.main.querySelector("#runs-table");
      const wrap = crt.el("div", { class: "table-wrap", tabindex: "0", role: "region", "aria-label": "Runs" }, table);
      const more = rows.length > 500 ? crt.el("p", { class: "note" }, `The newest 500 of ${rows.length.toLocaleString("en-US")}; choose a shorter time for the others.`) : null;
      box.replaceChildren(...[wrap, more].filter(Boolean));
      crt.table(box);
    }
  }

  const clip = (text, longest) => (text.length > longest ? `${text.slice(0, longest - 1)}…` : text);
  const plain = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

  crt.page("benchmark", (main) => new Benchmark(main).start());
})();
