/* The bars page: what each test took of late in each runtime, arranged by test or by runtime. */
"use strict";

(function () {
  const plain = (text, longest) => crt.runs.plain(text, longest);
  const date = (moment) => crt.date(moment, false);
  const DAY = 86400000;
  const WINDOWS = [1, 7, 30, 90];

  /* Bars at first: more are a page of their own, and wait for a click. */
  const MOST = 90;

  /* Tests beyond which one suite is shown at first. */
  const MANY = 30;

  crt.page("bars", async (main) => {
    const result = main.querySelector("#result");
    let known;
    try {
      known = await crt.runs.catalogue();
    } catch (error) {
      return crt.say(result, "The catalogue of sessions could not be read.", error.message);
    }
    if (!known.sessions.count || known.last === null) {
      main.querySelector("#filters").hidden = true;
      return crt.say(result, "There are no runs yet.", "Run crt bench, then crt report again.");
    }
    const view = new Bars(main, JSON.parse(main.querySelector("#page").textContent), known);
    crt.state.on(() => view.update());
    document.addEventListener("crt:metric", () => view.update());
    return view.update();
  });

  class Bars {
    constructor(main, page, known) {
      this.page = page;
      this.known = known;
      this.result = main.querySelector("#result");
      this.loaded = new Map();
      this.turn = 0;
      this.all = false;
      for (const name of ["by", "window", "suite", "filter", "logarithmic"]) this[name] = main.querySelector(`#${name}`);
      const suites = Array.from(new Set(known.benchmarks.map((each) => each.suite))).sort();
      this.suite.append(...suites.map((each) => crt.el("option", { value: each }, each)));
      this.first = known.benchmarks.length > MANY && suites.length > 1 ? suites[0] : "all";
      const set = (key, value) => {
        crt.state.set({ [key]: value });
        this.update();
      };
      this.by.addEventListener("change", () => set("by", this.by.value === "test" ? null : this.by.value));
      this.window.addEventListener("change", () => set("window", this.window.value === "7" ? null : this.window.value));
      this.suite.addEventListener("change", () => set("suite", this.suite.value === this.first ? null : this.suite.value));
      this.filter.addEventListener("input", () => set("q", this.filter.value.trim() || null));
      this.logarithmic.addEventListener("change", () => set("axis", this.logarithmic.checked ? "log" : null));
    }

    async update() {
      if (!this.result.isConnected) return undefined; // another page of the same file is shown
      const turn = ++this.turn;
      const days = WINDOWS.includes(Number(crt.state.get("window"))) ? Number(crt.state.get("window")) : 7;
      const { sessions } = this.known;
      const since = this.known.last - days * DAY;
      const late = this.known.newestFirst.filter((each) => sessions.started[each] > since);
      const read = late.slice(0, crt.runs.MOST_SESSIONS);
      const metric = this.known.metrics.find((each) => each.key === crt.metric()) || this.known.metrics[0];
      const wanted = {
        days,
        metric,
        by: crt.state.get("by") === "runtime" ? "runtime" : "test",
        suite: crt.state.get("suite") ?? this.first,
        text: (crt.state.get("q") || "").toLowerCase(),
        logarithmic: crt.state.get("axis") === "log",
        sessions: read,
        left: late.length - read.length,
      };
      this.by.value = wanted.by;
      this.window.value = String(days);
      this.suite.value = wanted.suite;
      this.logarithmic.checked = wanted.logarithmic;
      if (document.activeElement !== this.filter) this.filter.value = crt.state.get("q") ?? "";
      if (!metric) return crt.say(this.result, "No run has a value yet.", "");
      const key = `${days} ${metric.key}`;
      try {
        if (!this.loaded.has(key)) this.loaded.set(key, this.summaries(read, metric));
        const bars = await this.loaded.get(key);
        if (turn !== this.turn) return undefined;
        return this.draw(bars, wanted);
      } catch (error) {
        this.loaded.delete(key);
        return crt.say(this.result, "The runs of this window could not be read.", error.message);
      }
    }

    /* One entry for each test in each runtime: its values, summed up. */
    async summaries(sessions, metric) {
      const rows = await crt.runs.read(this.known, sessions, metric.key);
      const found = new Map();
      for (const row of rows) {
        if (row.outcome !== "passed" || row.profiled || !Number.isFinite(row.value)) continue;
        const key = `${row.benchmark} ${row.runtime}`;
        let bar = found.get(key);
        if (!bar) {
          bar = { benchmark: this.known.benchmarks[row.benchmark], runtime: row.runtime, values: [], sessions: new Set() };
          found.set(key, bar);
        }
        bar.values.push(row.value);
        bar.sessions.add(row.session);
      }
      const bars = Array.from(found.values());
      for (const bar of bars) {
        Object.assign(bar, crt.stats.medianInterval(bar.values));
        bar.versions = ["dask", "distributed"].map((name) => this.versions(bar.sessions, name)).filter(Boolean).join(", ");
      }
      return bars;
    }

    /* "dask 2026.7.0 to 2026.8.0" */
    versions(sessions, name) {
      const versions = Array.from(sessions)
        .map((each) => crt.runs.environmentOf(this.known, each).versions[name])
        .filter(Boolean)
        .sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
      const first = versions[0];
      const last = versions[versions.length - 1];
      return first ? `${name} ${first === last ? first : `${first} to ${last}`}` : "";
    }

    draw(bars, wanted) {
      const { metric } = wanted;
      const shown = bars.filter(
        (each) =>
          (wanted.suite === "all" || each.benchmark.suite === wanted.suite) &&
          (!wanted.text || each.benchmark.id.toLowerCase().includes(wanted.text)),
      );
      const since = date(this.known.last - (wanted.days - 1) * DAY);
      const until = date(this.known.last);
      if (!shown.length) {
        const filtered = wanted.suite !== "all" || wanted.text;
        return crt.say(
          this.result,
          filtered ? "No test fits." : `No test passed with a value of ${metric.label.toLowerCase()}.`,
          filtered ? "Another suite, a longer window, or another text?" : `Between ${since} and ${until}.`,
        );
      }
      const compare = (one, other) => one.localeCompare(other, "en", { numeric: true });
      const byTest = (one, other) => compare(one.benchmark.id, other.benchmark.id) || one.runtime - other.runtime;
      const byRuntime = (one, other) => one.runtime - other.runtime || compare(one.benchmark.id, other.benchmark.id);
      shown.sort(wanted.by === "test" ? byTest : byRuntime);
      const place = crt.el("div", { class: "chart" });
      const note = [
        `Medians of the passed, unprofiled runs from ${since === until ? until : `${since} to ${until}`}.`,
        "Whiskers: 95 % interval of the median by order statistics; where five runs or fewer allow none, the runs themselves as rings.",
        wanted.left > 0 ? `The newest ${wanted.sessions.length} sessions; ${wanted.left} older ones are left out.` : "",
      ];
      const more = crt.el("button", { type: "button", class: "button" }, "");
      const render = () => {
        const part = this.all ? shown : shown.slice(0, MOST);
        more.textContent = this.all ? `Show the first ${MOST} bars` : `Show all ${shown.length} bars`;
        this.chart(part, place, wanted);
      };
      more.addEventListener("click", () => {
        this.all = !this.all;
        render();
      });
      more.hidden = shown.length <= MOST;
      this.result.replaceChildren(
        crt.el("section", { class: "block", "aria-label": `${metric.label} by ${wanted.by}` }, crt.el("p", { class: "note" }, note.filter(Boolean).join(" ")), place, more),
        this.table(shown, wanted),
      );
      crt.table(this.result);
      requestAnimationFrame(render);
      return undefined;
    }

    chart(shown, place, { metric, by, logarithmic }) {
      const longest = place.clientWidth < 600 ? 20 : 48;
      const groupOf = (each) => (by === "test" ? each.benchmark.token : each.runtime);
      const ticks = [];
      const texts = [];
      const headings = [];
      const places = new Map();
      let next = 0;
      let members = [];
      const close = () => {
        if (!members.length) return;
        if (by === "test") {
          ticks.push((places.get(members[0]) + places.get(members[members.length - 1])) / 2);
          texts.push(plain(members[0].benchmark.name, longest));
        }
        members = [];
      };
      for (const each of shown) {
        if (members.length && groupOf(members[0]) !== groupOf(each)) {
          close();
          next += 0.7;
        }
        if (by === "runtime" && !members.length) {
          headings.push(this.heading(each.runtime, next, longest));
          next += 1;
        }
        places.set(each, next);
        members.push(each);
        if (by === "runtime") {
          ticks.push(next);
          texts.push(plain(each.benchmark.name, longest));
        }
        next += 1;
      }
      close();
      const present = Array.from(new Set(shown.map((each) => each.runtime))).sort((one, other) => one - other);
      const value = (each) => each / metric.scale;
      const runtimes = present.map((runtime, index) => {
        const mine = shown.filter((each) => each.runtime === runtime);
        const few = mine.filter((each) => each.low === null);
        return {
          name: plain(this.known.runtimes[runtime].text, longest),
          group: this.known.runtimes[runtime].id,
          median: mine.map((each) => value(each.median)),
          place: mine.map((each) => places.get(each)),
          above: mine.map((each) => (each.low === null ? 0 : value(each.high - each.median))),
          below: mine.map((each) => (each.low === null ? 0 : value(each.median - each.low))),
          hover: mine.map((each) => this.hover(each, metric)),
          colour: `series-${index % 8}`,
          fill: `series-${index % 8}/0.55`,
          points: few.flatMap((each) => each.values.map(value)),
          points_place: few.flatMap((each) => each.values.map(() => places.get(each))),
          points_text: few.flatMap((each) => each.values.map((one) => plain(crt.format(one, metric.key)))),
        };
      });
      const figure = crt.runs.fill(this.page.figures.bars, {
        runtimes,
        ticks,
        tick_texts: texts,
        headings,
        rows_range: [next - 0.3, -0.7],
        height: 100 + 17 * next,
        axis: metric.unit ? `${metric.label} (${metric.unit})` : metric.label,
        axis_type: logarithmic ? "log" : "linear",
        legend: by === "test" && present.length > 1,
        label: `${metric.label} by ${by}: medians with their intervals`,
        metric: metric.key,
      });
      return crt.draw(place, figure);
    }

    heading(runtime, row, longest) {
      return {
        text: `<b>${plain(this.known.runtimes[runtime].text, longest + 20)}</b>`,
        x: 0,
        xref: "paper",
        xanchor: "left",
        y: row,
        yref: "y",
        yanchor: "middle",
        showarrow: false,
      };
    }

    hover(bar, metric) {
      const text = (value) => plain(crt.format(value, metric.key));
      return [
        `<b>${plain(bar.benchmark.name, 80)}</b>`,
        plain(this.known.runtimes[bar.runtime].text, 80),
        `median ${text(bar.median)}${bar.low === null ? "" : ` (${text(bar.low)} to ${text(bar.high)})`}`,
        `min ${text(bar.min)}, mean ${text(bar.mean)}, max ${text(bar.max)}`,
        `${bar.n} ${bar.n === 1 ? "run" : "runs"}`,
        plain(bar.versions, 120),
      ]
        .filter(Boolean)
        .join("<br>");
    }

    table(shown, { metric }) {
      const number = (value, more = "") =>
        crt.el("td", { class: `number ${more}`.trim(), "data-value": String(value) }, crt.format(value, metric.key));
      const rows = shown.map((each) => {
        const name = crt.el("span", { class: "clip", title: each.benchmark.id.slice(0, 2000) }, each.benchmark.name.slice(0, 300));
        const link = each.benchmark.href ? crt.el("a", { href: crt.href(each.benchmark.href) }, name) : name;
        return crt.el(
          "tr",
          {},
          crt.el("th", { scope: "row" }, link, crt.el("span", { class: "sub" }, each.benchmark.suite)),
          crt.el("td", { class: "clip-cell" }, this.known.runtimes[each.runtime].text),
          number(each.median),
          crt.el(
            "td",
            { class: "number wide-only", "data-value": each.low === null ? "" : String(each.low) },
            each.low === null ? "" : `${crt.format(each.low, metric.key)} to ${crt.format(each.high, metric.key)}`,
          ),
          number(each.min, "wide-only"),
          number(each.mean, "wide-only"),
          number(each.max, "wide-only"),
          crt.el("td", { class: "number", "data-value": String(each.n) }, String(each.n)),
          crt.el("td", { class: "wide-only clip-cell" }, each.versions),
        );
      });
      const heads = [
        ["Test"], ["Runtime"], ["Median", "number"], ["95 % interval", "number wide-only"], ["Min", "number wide-only"],
        ["Mean", "number wide-only"], ["Max", "number wide-only"], ["Runs", "number"], ["Versions", "wide-only"],
      ];
      const folded = crt.el("details", {}, crt.el("summary", {}, `${rows.length} rows`));
      folded.open = rows.length <= 60;
      folded.append(
        crt.el(
          "div",
          { class: "table-wrap" },
          crt.el(
            "table",
            { class: "sortable", "data-name": "medians" },
            crt.el("caption", { class: "visually-hidden" }, `${metric.label} of each test in each runtime`),
            crt.el("thead", {}, crt.el("tr", {}, ...heads.map(([text, more]) => crt.el("th", more ? { scope: "col", class: more } : { scope: "col" }, text)))),
            crt.el("tbody", {}, ...rows),
          ),
        ),
      );
      return crt.el("section", { class: "block", "aria-labelledby": "table-heading" }, crt.el("h2", { id: "table-heading" }, "The numbers"), folded);
    }
  }
})();
