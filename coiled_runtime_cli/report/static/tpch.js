/* The TPC-H page: engines by query, in their unit and relative to one of them. */
"use strict";

(function () {
  const plain = (text, longest) => crt.runs.plain(text, longest);
  const DAY = 86400000;
  const WINDOWS = [1, 7, 30, 90];
  const PATTERNS = ["", "/", "x", "-", "\\", "|", "+", "."];
  const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "pentagon", "star", "cross", "hexagon"];

  crt.page("tpch", async (main) => {
    const result = main.querySelector("#result");
    let known;
    try {
      known = await crt.runs.catalogue();
    } catch (error) {
      return crt.say(result, "The catalogue of sessions could not be read.", error.message);
    }
    const view = new Tpch(main, JSON.parse(main.querySelector("#page").textContent), known);
    if (!view.sessions.length) {
      main.querySelector("#filters").hidden = true;
      return crt.say(result, "There are no TPC-H runs yet.", "Run crt bench --suite tpch, then crt report again.");
    }
    crt.state.on(() => view.update());
    document.addEventListener("crt:metric", () => view.update());
    return view.update();
  });

  class Tpch {
    constructor(main, page, known) {
      this.page = page;
      this.known = known;
      this.result = main.querySelector("#result");
      this.loaded = new Map();
      this.turn = 0;
      const measured = new Map(known.tpch.sessions.map((each, index) => [each, known.tpch.versions[known.tpch.version[index]]]));
      this.versions = measured;
      this.sessions = known.newestFirst.filter((each) => measured.has(each));
      this.engines = Array.from(new Set(known.benchmarks.filter((each) => each.tpch).map((each) => each.tpch.engine))).sort(
        (one, other) => (other === "dask") - (one === "dask") || one.localeCompare(other, "en"),
      );
      for (const name of ["scale", "label", "window", "base", "logarithmic"]) this[name] = main.querySelector(`#${name}`);
      const labels = Array.from(new Set(this.sessions.map((each) => crt.runs.labelOf(known, each) ?? "")));
      this.label.append(...labels.map((each) => crt.el("option", { value: `=${each}` }, each || "no label")));
      this.label.parentElement.hidden = labels.length < 2;
      this.newest = labels.length ? `=${labels[0]}` : "all";
      this.base.append(...this.engines.map((each) => crt.el("option", { value: each }, each)));
      const set = (key, value) => {
        crt.state.set({ [key]: value });
        this.update();
      };
      this.scale.addEventListener("change", () => set("scale", this.scale.value));
      this.label.addEventListener("change", () => set("label", this.label.value === this.newest ? null : this.label.value));
      this.window.addEventListener("change", () => set("window", this.window.value === "30" ? null : this.window.value));
      this.base.addEventListener("change", () => set("base", this.base.value === this.engines[0] ? null : this.base.value));
      this.logarithmic.addEventListener("change", () => set("axis", this.logarithmic.checked ? "log" : null));
    }

    async update() {
      if (!this.result.isConnected) return undefined; // another page of the same file is shown
      const turn = ++this.turn;
      const { known } = this;
      const asked = crt.state.get("window");
      const days = asked === "all" ? Infinity : WINDOWS.includes(Number(asked)) ? Number(asked) : 30;
      const metric = known.metrics.find((each) => each.key === crt.metric()) || known.metrics[0];
      if (!metric) return crt.say(this.result, "No run has a value yet.", "");
      const label = crt.state.get("label") ?? this.newest;
      const fits = this.sessions.filter((each) => label === "all" || `=${crt.runs.labelOf(known, each) ?? ""}` === label);
      const newest = fits.length ? known.sessions.started[fits[0]] : NaN;
      const late = fits.filter((each) => days === Infinity || !(known.sessions.started[each] <= newest - days * DAY));
      const sessions = late.slice(0, crt.runs.MOST_SESSIONS);
      this.label.value = label;
      this.window.value = days === Infinity ? "all" : String(days);
      this.logarithmic.checked = crt.state.get("axis") === "log";
      const base = this.engines.includes(crt.state.get("base")) ? crt.state.get("base") : this.engines[0];
      this.base.value = base;
      if (!sessions.length) return crt.say(this.result, "No TPC-H run has this label.", "Choose another one above.");
      const key = JSON.stringify([days === Infinity ? "all" : days, label, metric.key]);
      try {
        if (!this.loaded.has(key)) this.loaded.set(key, this.answers(sessions, metric));
        const answers = await this.loaded.get(key);
        if (turn !== this.turn) return undefined;
        return this.draw(answers, { metric, base, sessions, left: late.length - sessions.length });
      } catch (error) {
        this.loaded.delete(key);
        return crt.say(this.result, "The TPC-H runs could not be read.", error.message);
      }
    }

    /* Scale factor -> engine -> query -> {values, runs, failed, last}; an engine's queries have the `versions` that answered them. */
    async answers(sessions, metric) {
      const { known } = this;
      const rows = await crt.runs.read(known, sessions, metric.key);
      const order = new Map(sessions.map((each, index) => [each, index]));
      const scales = new Map();
      for (const row of rows) {
        const query = known.benchmarks[row.benchmark].tpch;
        if (!query || row.profiled || row.outcome === "skipped") continue;
        const runtime = known.runtimes[row.runtime];
        const scale = query.scale ?? runtime.factor ?? runtime.scale ?? "";
        const engines = entry(scales, scale, () => new Map());
        const queries = entry(engines, query.engine, () => Object.assign(new Map(), { versions: new Set() }));
        const version = this.versions.get(row.session)?.[query.engine];
        if (version) queries.versions.add(version);
        const cell = entry(queries, query.query, () => ({
          values: [], runs: 0, failed: 0, last: Infinity, lastFailed: false, href: known.benchmarks[row.benchmark].href,
        }));
        const failed = crt.runs.FAILED.has(row.outcome);
        cell.runs += 1;
        cell.failed += failed;
        if (order.get(row.session) <= cell.last) [cell.last, cell.lastFailed] = [order.get(row.session), failed];
        if (!failed && Number.isFinite(row.value)) cell.values.push(row.value);
      }
      for (const engines of scales.values()) {
        for (const queries of engines.values()) {
          for (const cell of queries.values()) {
            const sorted = Float64Array.from(cell.values).sort();
            cell.median = sorted.length ? crt.stats.quantile(sorted, 0.5) : NaN;
          }
        }
      }
      return scales;
    }

    draw(scales, { metric, base, sessions, left }) {
      const names = Array.from(scales.keys()).sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
      this.scale.replaceChildren(...names.map((each) => crt.el("option", { value: each }, each || "any")));
      this.scale.parentElement.hidden = names.length < 2;
      const count = (name) => Array.from(scales.get(name).values()).reduce((sum, each) => sum + each.size, 0);
      const fullest = names.slice().sort((one, other) => count(other) - count(one))[0];
      const scale = names.includes(crt.state.get("scale")) ? crt.state.get("scale") : fullest;
      if (scale === undefined) return crt.say(this.result, "These sessions hold no TPC-H run.", "");
      this.scale.value = scale;
      const engines = this.engines.filter((each) => scales.get(scale).has(each));
      const cells = new Map(engines.map((each) => [each, scales.get(scale).get(each)]));
      const queries = Array.from(new Set(engines.flatMap((each) => Array.from(cells.get(each).keys())))).sort((one, other) => one - other);
      const reference = engines.includes(base) ? base : engines[0];
      const titles = new Map(engines.map((each) => [each, title(each, cells.get(each).versions)]));
      const facts = { metric, engines, cells, queries, reference, scale, titles };
      const absolute = crt.el("div", { class: "chart" });
      const relative = crt.el("div", { class: "chart" });
      const first = crt.date(this.known.sessions.started[sessions[sessions.length - 1]], false);
      const last = crt.date(this.known.sessions.started[sessions[0]], false);
      const note = [
        `${queries.length} ${queries.length === 1 ? "query" : "queries"}${scale ? ` at scale factor ${scale}` : ""}, ${first === last ? last : `${first} to ${last}`}: medians of passed runs.`,
        "A cross: its last run failed.",
        left > 0 ? `${left} older sessions are left out.` : "",
        "Engines may have run on different machines: see their runs before you judge.",
      ];
      const blocks = [
        crt.el(
          "section",
          { class: "answer", "aria-label": "Answer" },
          ...this.sentences(facts).map((each) => crt.el("p", { class: "answer-sentence" }, each)),
          crt.el("p", { class: "answer-note" }, note.filter(Boolean).join(" ")),
        ),
        block("absolute", `${metric.label} by query`, [absolute]),
      ];
      if (engines.length > 1) blocks.push(block("relative", `Relative to ${titles.get(reference)}`, [relative]));
      blocks.push(block("numbers", "The numbers", [this.table(facts)]));
      this.result.replaceChildren(...blocks);
      crt.table(this.result);
      requestAnimationFrame(() => {
        this.charts(facts, absolute, engines.length > 1 ? relative : null);
      });
      return undefined;
    }

    /* The geometric mean of an engine over the reference, over the queries that both answered. */
    against(engine, { cells, queries, reference }) {
      const ratios = queries
        .map((query) => (cells.get(engine).get(query)?.median ?? NaN) / (cells.get(reference).get(query)?.median ?? NaN))
        .filter((each) => Number.isFinite(each) && each > 0);
      return ratios.length ? { ratio: Math.exp(crt.stats.sum(ratios.map(Math.log)) / ratios.length), n: ratios.length } : null;
    }

    sentences(facts) {
      const { engines, reference, metric, titles } = facts;
      const other = titles.get(reference);
      const said = engines
        .filter((each) => each !== reference)
        .map((engine) => {
          const found = this.against(engine, facts);
          const queries = found && `${found.n} ${found.n === 1 ? "query" : "queries"}`;
          const name = titles.get(engine);
          if (!found) return `${name} and ${other} answered no query both.`;
          const many = times(found.ratio).replace("×", " times");
          const timed = metric.unit === "s";
          const what = timed ? `takes ${many} as long as ${other}` : `has ${many} the ${metric.label.toLowerCase()} of ${other}`;
          return `${name} ${what} over ${queries}.`;
        });
      return said.length ? said : [`${other} is the only engine here.`];
    }

    charts(facts, absolute, relative) {
      const { metric, engines, cells, queries, reference, titles } = facts;
      const labels = queries.map((each) => `Q${each}`);
      const wide = absolute.clientWidth >= 600;
      const logarithmic = this.logarithmic.checked;
      const medians = engines.flatMap((each) => Array.from(cells.get(each).values(), (cell) => cell.median / metric.scale)).filter((each) => each > 0);
      const floor = logarithmic && medians.length ? Math.min(...medians) : 0;
      const ratios = [];
      const described = engines.map((engine) => {
        const index = this.engines.indexOf(engine);
        const mine = queries.map((query) => cells.get(engine).get(query));
        const failing = queries.filter((_, place) => mine[place] && mine[place].lastFailed);
        const ratio = queries.map((query, place) => {
          const other = cells.get(reference).get(query);
          const value = mine[place] && other ? mine[place].median / other.median : NaN;
          if (Number.isFinite(value) && value > 0) ratios.push(value);
          return Number.isFinite(value) && value > 0 ? value : null;
        });
        const text = (cell, query) =>
          [
            `<b>${plain(titles.get(engine))}</b>, query ${query}`,
            cell && Number.isFinite(cell.median) ? `median ${plain(crt.format(cell.median, metric.key))}` : "no value",
            cell ? `${cell.runs} runs, ${cell.failed} failed` : "did not run",
          ].join("<br>");
        return {
          name: plain(titles.get(engine)),
          query: labels,
          median: mine.map((cell) => (cell && Number.isFinite(cell.median) ? cell.median / metric.scale : null)),
          hover: mine.map((cell, place) => text(cell, queries[place])),
          colour: `series-${index % 8}`,
          pattern: PATTERNS[index % PATTERNS.length],
          symbol: SYMBOLS[index % SYMBOLS.length],
          failed_name: `${plain(engine)} failed`,
          failed_query: failing.map((each) => `Q${each}`),
          failed_place: failing.map(() => floor),
          failed_text: failing.map((each) => `<b>${plain(engine)}</b>, query ${each}: the last run failed`),
          ratio,
          ratio_hover: ratio.map((each, place) => `<b>${plain(engine)}</b>, query ${queries[place]}<br>${each === null ? "" : times(each)} ${plain(reference)}`),
        };
      });
      const far = Math.max(...ratios.map((each) => Math.abs(Math.log2(each))), 1) * 1.1;
      const step = Math.max(1, Math.ceil(far / 4));
      const powers = Array.from({ length: 2 * Math.floor(far / step) + 1 }, (_, index) => (index - Math.floor(far / step)) * step);
      const computed = {
        engines: described,
        queries: labels,
        axis: metric.unit ? `${metric.label} (${metric.unit})` : metric.label,
        axis_type: logarithmic ? "log" : "linear",
        label: `${metric.label} of each TPC-H query by engine`,
        relative_label: `${metric.label} of each TPC-H query relative to ${reference}`,
        relative_axis: `times ${plain(reference)}`,
        ticks: powers.map((each) => 2 ** each),
        tick_texts: powers.map((each) => (each < 0 ? `1/${2 ** -each}` : `${2 ** each}×`)),
        range: [-far * Math.log10(2), far * Math.log10(2)],
        metric: metric.key,
      };
      const figures = [[absolute, this.page.figures.absolute]];
      if (relative) figures.push([relative, this.page.figures.relative]);
      for (const [place, figure] of figures) {
        const filled = crt.runs.fill(figure, computed);
        crt.draw(place, wide ? filled : sideways(filled, queries.length * (place === relative ? 2 : engines.length + 1)));
      }
    }

    table({ metric, engines, cells, queries, reference, titles }) {
      const heads = [crt.el("th", { scope: "col" }, "Query"), ...engines.map((each) => crt.el("th", { scope: "col", class: "number" }, titles.get(each)))];
      const cellOf = (engine, query) => {
        const cell = cells.get(engine).get(query);
        if (!cell || !Number.isFinite(cell.median)) {
          return crt.el("td", { class: "number", "data-value": "" }, cell && cell.failed ? "failed" : "");
        }
        const parts = [crt.el("span", {}, crt.format(cell.median, metric.key))];
        const other = cells.get(reference).get(query);
        if (engine !== reference && other && other.median > 0) {
          parts.push(crt.el("span", { class: "sub" }, times(cell.median / other.median)));
        }
        if (cell.lastFailed) parts.push(crt.el("span", { class: "sub" }, "last run failed"));
        return crt.el("td", { class: "number", "data-value": String(cell.median) }, ...parts);
      };
      const rows = queries.map((query) => {
        const href = engines.map((each) => cells.get(each).get(query)?.href).find(Boolean);
        const name = href ? crt.el("a", { href: crt.href(href) }, `Q${query}`) : `Q${query}`;
        return crt.el("tr", {}, crt.el("th", { scope: "row", "data-value": String(query) }, name), ...engines.map((each) => cellOf(each, query)));
      });
      return crt.el(
        "div",
        { class: "table-wrap" },
        crt.el(
          "table",
          { class: "sortable", "data-name": "tpch" },
          crt.el("caption", { class: "visually-hidden" }, `${metric.label} of each query by engine`),
          crt.el("thead", {}, crt.el("tr", {}, ...heads)),
          crt.el("tbody", {}, ...rows),
        ),
      );
    }
  }

  function entry(map, key, make) {
    if (!map.has(key)) map.set(key, make());
    return map.get(key);
  }

  /* An engine and its version, where all runs had the same; of several their number. */
  function title(engine, versions) {
    if (!versions.size) return engine;
    return versions.size === 1 ? `${engine} ${Array.from(versions)[0]}` : `${engine} (${versions.size} versions)`;
  }

  function times(ratio) {
    return `${ratio < 0.095 ? ratio.toPrecision(1) : ratio < 9.95 ? ratio.toFixed(2) : Math.round(ratio)}×`;
  }

  function block(id, heading, children) {
    return crt.el("section", { class: "block", id, "aria-labelledby": `${id}-heading` }, crt.el("h2", { id: `${id}-heading` }, heading), ...children);
  }

  /* The same chart with queries downwards: on a narrow screen they have no room side by side. */
  function sideways(figure, rows) {
    const { xaxis, yaxis, shapes = [] } = figure.layout;
    return {
      data: figure.data.map(({ x, y, ...rest }) => ({ ...rest, x: y, y: x, ...(rest.offsetgroup ? { orientation: "h" } : {}) })),
      layout: {
        ...figure.layout,
        height: 120 + 13 * rows,
        margin: { ...figure.layout.margin, l: 40 },
        xaxis: yaxis,
        yaxis: { ...xaxis, autorange: "reversed" },
        shapes: shapes.map((each) => ({
          ...each, xref: each.yref === "y" ? "x" : each.yref, yref: each.xref, x0: each.y0, x1: each.y1, y0: each.x0, y1: each.x1,
        })),
      },
    };
  }
})();
