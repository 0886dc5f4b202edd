/* The compare page: two arms chosen by a person, every test that both ran, and what can be said of them. */
"use strict";

(function () {
  const size = (ratio) => crt.runs.size(ratio);
  const change = (ratio) => crt.ratio(ratio);

  /* Tests of a chart at first: those that most is known of. */
  const CHARTED = 40;

  /** Rows of failures that are shown whatever they say, and the chance below which any is. */
  const FEW = 5;
  const UNLIKELY = 0.2;

  crt.page("compare", async (main) => {
    const page = JSON.parse(main.querySelector("#page").textContent);
    const result = main.querySelector("#result");
    let known;
    try {
      known = await crt.runs.catalogue();
    } catch (error) {
      return crt.say(result, "The catalogue of sessions could not be read.", error.message);
    }
    if (!known.sessions.count) {
      main.querySelector("#arms").hidden = true;
      main.querySelector("#filters").hidden = true;
      return crt.say(result, "There are no runs to compare yet.", "Run crt bench twice, then crt report again.");
    }
    const view = new Compare(main, page, known);
    crt.state.on(() => view.update());
    document.addEventListener("crt:metric", () => view.update());
    return view.update();
  });

  class Compare {
    constructor(main, page, known) {
      this.main = main;
      this.page = page;
      this.known = known;
      this.result = main.querySelector("#result");
      this.usual = crt.runs.usual(known);
      this.arms = new crt.Arms(main, known, (arm, text) => this.set(arm, text));
      this.turn = 0;
      this.all = { forest: false, confidence: false };
      this.controls();
    }

    controls() {
      const find = (name) => this.main.querySelector(`#${name}`);
      this.suite = find("suite");
      this.filter = find("filter");
      this.effect = find("effect");
      for (const suite of Array.from(new Set(this.known.benchmarks.map((each) => each.suite))).sort()) {
        this.suite.append(crt.el("option", { value: suite }, suite));
      }
      find("swap").addEventListener("click", () => {
        const { a, b } = this.chosen();
        crt.state.set({ a: b, b: a });
        this.update();
      });
      this.suite.addEventListener("change", () => this.set("suite", this.suite.value || null));
      this.filter.addEventListener("input", () => this.set("q", this.filter.value.trim() || null));
      this.effect.addEventListener("change", () => {
        const value = Number(this.effect.value);
        this.set("effect", value > 0 && value < 100 && value !== 5 ? String(value) : null);
      });
    }

    set(key, value) {
      crt.state.set({ [key]: value });
      this.update();
    }

    chosen() {
      return { a: crt.state.get("a") ?? this.usual.a, b: crt.state.get("b") ?? this.usual.b };
    }

    /* Everything follows from the address: read it, load what is not there yet, draw. */
    async update() {
      if (!this.result.isConnected) return undefined; // another page of the same file is shown
      const turn = ++this.turn;
      const { a, b } = this.chosen();
      const arms = { a: crt.runs.select(this.known, a), b: crt.runs.select(this.known, b) };
      for (const arm of ["a", "b"]) this.arms.show(arm, arms[arm]);
      this.suite.value = crt.state.get("suite") ?? "";
      if (document.activeElement !== this.filter) this.filter.value = crt.state.get("q") ?? "";
      if (document.activeElement !== this.effect) this.effect.value = String(100 * this.smallest());
      if (!arms.a.sessions.length || !arms.b.sessions.length) return this.missing(arms);
      const metric = this.known.metrics.find((each) => each.key === crt.metric()) || this.known.metrics[0];
      const key = JSON.stringify([a, b, metric && metric.key]);
      if (this.key !== key) {
        this.result.setAttribute("aria-busy", "true");
        try {
          const tests = await this.tests(arms, metric);
          if (turn !== this.turn) return undefined;
          this.tests_ = tests;
          this.key = key;
        } catch (error) {
          if (turn !== this.turn) return undefined;
          this.key = null;
          return crt.say(this.result, "The runs of this comparison could not be read.", error.message);
        } finally {
          if (turn === this.turn) this.result.removeAttribute("aria-busy");
        }
      }
      return this.draw(arms, metric);
    }

    missing(arms) {
      this.key = null;
      if (this.known.sessions.count === 1 && arms.b.sessions.length) {
        return crt.say(this.result, "There is one session only.", "A second one, and there is something to compare.");
      }
      const which = ["a", "b"].filter((arm) => !arms[arm].sessions.length).map((arm) => arm.toUpperCase());
      return crt.say(this.result, `Nothing fits ${which.join(" and ")}.`, "Choose sessions above; suggestions come as you type.");
    }

    smallest() {
      const value = Number(crt.state.get("effect"));
      return value > 0 && value < 100 ? value / 100 : 0.05;
    }

    /* Every test of either arm with the values and failures of both. */
    async tests(arms, metric) {
      const kinds = new Set([arms.a.kind, arms.b.kind]);
      const varies = kinds.has("runtime") ? "runtime" : kinds.size === 1 && kinds.has("dates") ? "nothing" : "label";
      const rest = (runtime) => {
        const each = this.known.runtimes[runtime];
        if (varies === "runtime") return "";
        return varies === "nothing" ? each.id : JSON.stringify([each.scale, each.python, each.cluster, each.host]);
      };
      const [a, b] = await Promise.all(
        ["a", "b"].map((arm) =>
          crt.runs.read(this.known, arms[arm].sessions, metric ? metric.key : "", arms[arm].runtime),
        ),
      );
      const found = new Map();
      for (const [arm, rows] of [["a", a], ["b", b]]) {
        for (const row of rows) {
          if (row.profiled || row.outcome === "skipped") continue;
          const key = `${row.benchmark} ${rest(row.runtime)}`;
          let test = found.get(key);
          if (!test) {
            const benchmark = this.known.benchmarks[row.benchmark];
            test = { benchmark, runtime: row.runtime, rest: rest(row.runtime), a: empty(), b: empty() };
            found.set(key, test);
          }
          test[arm].runs += 1;
          if (crt.runs.FAILED.has(row.outcome)) test[arm].failed += 1;
          else test[arm].values.push(row.value);
        }
      }
      const tests = Array.from(found.values());
      const several = new Set(tests.map((each) => each.rest)).size > 1;
      const named = new Map();
      for (const { benchmark } of tests) {
        named.set(benchmark.name, (named.get(benchmark.name) || new Set()).add(benchmark.token));
      }
      for (const test of tests) {
        const runtime = this.known.runtimes[test.runtime];
        test.more = several ? (varies === "nothing" ? runtime.text : runtime.rest) : "";
        test.name = named.get(test.benchmark.name).size > 1 ? `${test.benchmark.suite}: ${test.benchmark.name}` : test.benchmark.name;
        test.comparison = crt.stats.comparison(test.a.values, test.b.values);
      }
      return tests;
    }

    draw(arms, metric) {
      const suite = crt.state.get("suite");
      const text = (crt.state.get("q") || "").toLowerCase();
      const wanted = crt.state.get("verdict");
      const shared = this.tests_.filter((each) => each.a.runs && each.b.runs);
      crt.stats.judge(shared.map((each) => each.comparison), { smallest: this.smallest(), better: metric?.better });
      const fits = (each) =>
        (!suite || each.benchmark.suite === suite) && (!text || each.benchmark.id.toLowerCase().includes(text));
      const shown = shared.filter(fits);
      const measured = shown.filter((each) => each.comparison.ratio !== null);
      const sign = metric && metric.better === "higher" ? -1 : 1;
      measured.sort((one, other) => sign * (other.comparison.ratio - one.comparison.ratio));
      const facts = {
        arms,
        metric,
        words: words(metric),
        page: this.page,
        smallest: this.smallest(),
        shown,
        measured,
        listed: crt.effects.VERDICTS.includes(wanted) ? measured.filter((each) => each.comparison.verdict === wanted) : measured,
        wanted: crt.effects.VERDICTS.includes(wanted) ? wanted : null,
        lone: this.tests_.filter((each) => !(each.a.runs && each.b.runs) && fits(each)),
        overall: crt.stats.overall(measured.map((each) => each.comparison)),
        filtered: Boolean(suite || text),
      };
      if (!shown.length && !facts.lone.length) {
        return crt.say(
          this.result,
          facts.filtered ? "No test fits the filter." : "These sessions hold no runs to compare.",
          facts.filtered ? "Another suite, or another text?" : "",
        );
      }
      this.result.replaceChildren(
        this.answer(facts),
        ...this.charts(facts),
        ...this.troubles(facts),
        ...this.table(facts),
        this.resolution(facts),
      );
      crt.table(this.result);
      return undefined;
    }

    name(selection) {
      const { kind, value } = selection;
      if (kind === "label") return plainText(value || "no label");
      if (kind === "runtime") return plainText(this.known.runtimes[selection.runtime].text);
      if (kind === "version") return plainText(value.replace("==", " "));
      if (kind === "commit") return plainText(value.replace("@", " at "));
      if (kind === "session" && selection.sessions.length > 1) return plural(selection.sessions.length, "session");
      if (kind === "session") return `session of ${crt.date(this.known.sessions.started[selection.sessions[0]], false)}`;
      if (kind === "before" && selection.sessions.length === 1) return "the session before";
      if (kind === "before") return `the ${plural(selection.sessions.length, "session")} before`;
      const [from, to] = value.split("..");
      return !to ? `from ${from} on` : !from ? `until ${to}` : `${from} to ${to}`;
    }

    answer(facts) {
      const { arms, words: word, measured, metric } = facts;
      const overall = measured.length === 1 ? measured[0].comparison : facts.overall; // one has an interval of its own
      const a = this.name(arms.a);
      const b = this.name(arms.b);
      const tests = plural(measured.length, "test");
      const counts = tally(measured);
      let sentence;
      if (arms.a.text === arms.b.text) {
        sentence = `A and B are the same runs: ${a}.`;
      } else if (!metric || !measured.length) {
        const both = facts.shown.length ? `${plural(facts.shown.length, "test")} ran in both arms` : "No test ran in both arms";
        sentence = `${both}; nothing can be compared.`;
      } else if (overall.low === null) {
        sentence = `${capital(b)} against ${a}: ${change(overall.ratio)} over ${tests}. Too few runs to tell it from chance.`;
      } else {
        const range = `${change(overall.low)} to ${change(overall.high)}`;
        const certain = overall.low > 1 || overall.high < 1;
        const how = overall.ratio > 1 ? word.more : word.less;
        const much = size(overall.ratio);
        const same = overall.low > 1 - this.smallest() && overall.high < 1 + this.smallest();
        if (same && !certain) sentence = `${capital(b)} and ${a} are the same over ${tests}: ${change(overall.ratio)} (${range}).`;
        else if (!certain) sentence = `No difference between ${b} and ${a} can be told over ${tests}: ${change(overall.ratio)} (${range}).`;
        else if (word.timed) sentence = `${capital(b)} is ${much} ${how} than ${a} over ${tests} (${range}).`;
        else sentence = `${metric.label} is ${much} ${how} in ${b} than in ${a} over ${tests} (${range}).`;
      }
      const onlyB = facts.shown.filter((each) => each.b.failed && !each.a.failed).length;
      const onlyA = facts.shown.filter((each) => each.a.failed && !each.b.failed).length;
      const chips = crt.effects.VERDICTS.filter((each) => counts[each]).map((verdict) => this.chip(verdict, counts[verdict], facts));
      const failures = [
        onlyB ? `${onlyB} ${onlyB === 1 ? "fails" : "fail"} in B only` : "",
        onlyA ? `${onlyA} in A only` : "",
      ].filter(Boolean);
      if (failures.length) {
        chips.push(crt.el("a", { class: "chip verdict-failed", href: "#failures", "data-jump": "failures" }, failures.join(", ")));
      }
      const section = crt.el(
        "section",
        { class: "answer", "aria-label": "Answer" },
        crt.el("p", { class: "answer-sentence" }, sentence.replaceAll(" %", "\u00a0%")),
        crt.el("div", { class: "chips" }, ...chips),
      );
      if (overall.low !== null && measured.length) {
        section.append(
          crt.el(
            "p",
            { class: "answer-note" },
            (measured.length === 1
              ? "With its 95 % interval; "
              : `Geometric mean of ${tests} with its 95 % interval. Verdicts are adjusted for ${tests} (5 % false discoveries); `) +
              `less than ${size(1 + this.smallest())} counts as the same.` +
              (arms.a.sessions.length === 1 || arms.b.sessions.length === 1
                ? " One session on a side: what slowed the machine in it is part of every change."
                : ""),
          ),
        );
      }
      for (const each of section.querySelectorAll("[data-jump]")) {
        each.addEventListener("click", (event) => {
          event.preventDefault();
          this.result.querySelector(`#${each.dataset.jump}`)?.scrollIntoView();
        });
      }
      return section;
    }

    chip(verdict, count, facts) {
      const pressed = facts.wanted === verdict;
      const chip = crt.el(
        "button",
        { type: "button", class: `chip verdict-${verdict}`, "aria-pressed": String(pressed) },
        `${count} ${facts.words[verdict]}`,
      );
      chip.addEventListener("click", () => this.set("verdict", pressed ? null : verdict));
      return chip;
    }

    troubles(facts) {
      const sections = [];
      const failing = facts.shown.filter((each) => each.a.failed || each.b.failed);
      const finding = (each) => crt.stats.failures(each.a, each.b).p;
      failing.sort((one, other) => finding(one) - finding(other));
      if (failing.length) {
        const row = (each) =>
          crt.el(
            "tr",
            {},
            this.test(each),
            crt.el("td", { class: "number", "data-value": String(each.a.failed / each.a.runs) }, share(each.a)),
            crt.el("td", { class: "number", "data-value": String(each.b.failed / each.b.runs) }, share(each.b)),
            crt.el("td", {}, failure(each)),
            number(finding(each), shortP(finding(each))),
          );
        const heads = ["Test", { text: "Failed in A", class: "number" }, { text: "Failed in B", class: "number" }, "Finding", { text: "By chance", class: "number" }];
        // one failure of twenty runs against none of one says nothing: such rows must not bury those that do
        const tells = (each, place) => place < FEW || each.b.failed || finding(each) < UNLIKELY;
        const telling = failing.filter(tells);
        const rest = failing.filter((each, place) => !tells(each, place));
        const folded = rest.length
          ? crt.el("details", { class: "lone" }, crt.el("summary", {}, `${rest.length} more, no more uneven than chance has it`), table(heads, rest.map(row), "Tests that failed as chance has it"))
          : null;
        sections.push(
          block("failures", `Failures in ${plural(failing.length, "test")}`, [
            crt.el("p", { class: "note" }, "By chance: how often as many failures would fall so unevenly on the arms if both failed alike (Fisher's exact test)."),
            table(heads, telling.map(row), "Tests that failed in one arm or both"),
            folded,
          ].filter(Boolean)),
        );
      }
      if (facts.lone.length) {
        const only = (arm, other) => {
          const tests = facts.lone.filter((each) => each[arm].runs && !each[other].runs);
          const items = tests.slice(0, 200).map((each) => crt.el("li", {}, this.link(each)));
          const more = tests.length - items.length;
          if (more > 0) items.push(crt.el("li", {}, `and ${more} more`));
          return tests.length
            ? [
                crt.el(
                  "details",
                  { class: "lone" },
                  crt.el("summary", {}, `${plural(tests.length, "test")} in ${arm.toUpperCase()} only`),
                  crt.el("ul", {}, ...items),
                ),
              ]
            : [];
        };
        const children = [...only("a", "b"), ...only("b", "a")];
        if (!facts.shown.length) {
          children.push(
            crt.el("p", { class: "note" }, "Tests pair when benchmark, epoch, scale, cluster, Python and (for local clusters) host agree. To compare whole runtimes, choose both arms by runtime."),
          );
        }
        sections.push(block("lone", "In one arm only", children));
      }
      return sections;
    }

    charts(facts) {
      if (!facts.listed.some((each) => each.comparison.low !== null)) return [];
      const forest = this.chart("forest", "Effects with their 95 % intervals", facts, (tests, place) =>
        crt.effects.forest(tests, place, facts),
      );
      const confidence = this.chart(
        "confidence",
        `How sure, for each size of effect`,
        facts,
        (tests, place) => crt.effects.confidence(tests, place, facts),
        `Each cell: the confidence that B is ${facts.words.less} (left) or ${facts.words.more} (right) than A by more than so much. Numbers from 80 % on.`,
      );
      return [forest, confidence];
    }

    /* A chart of the clearest tests, with a way to see all. */
    chart(id, heading, facts, draw, note) {
      const tests = facts.listed.filter((each) => each.comparison.low !== null);
      const place = crt.el("div", { class: "chart" });
      const section = block(id, heading, note ? [crt.el("p", { class: "note" }, note), place] : [place]);
      const render = () => {
        const kept = new Set(tests.slice().sort(clearest).slice(0, CHARTED));
        draw(this.all[id] ? tests : tests.filter((each) => kept.has(each)), place);
      };
      if (tests.length > CHARTED) {
        const text = () =>
          this.all[id] ? `Show the ${CHARTED} clearest` : `Show all ${tests.length}, not only the ${CHARTED} clearest`;
        const more = crt.el("button", { type: "button", class: "button" }, text());
        more.addEventListener("click", () => {
          this.all[id] = !this.all[id];
          more.textContent = text();
          render();
        });
        section.append(more);
      }
      requestAnimationFrame(render);
      return section;
    }

    table(facts) {
      if (!facts.measured.length) return [];
      const { metric, listed } = facts;
      const bounds = listed
        .flatMap(({ comparison }) => (comparison.low === null ? [comparison.ratio] : [comparison.low, comparison.high]))
        .map((ratio) => Math.abs(Math.log(ratio)))
        .sort((one, other) => one - other);
      const far = Math.min(Math.max(bounds.length ? crt.stats.quantile(bounds, 0.95) : 0, Math.log(1.06)), Math.log(4));
      const rows = listed.map((each) => {
        const { comparison } = each;
        const verdict = comparison.verdict;
        return crt.el(
          "tr",
          {},
          this.test(each),
          number(Math.log(comparison.ratio), change(comparison.ratio)),
          crt.el(
            "td",
            { class: "range-cell", "data-value": comparison.low === null ? "" : String(Math.log(comparison.low)) },
            crt.effects.range(comparison, far, this.smallest()),
            crt.el(
              "span",
              { class: "range-text" },
              comparison.low === null ? "" : `${change(comparison.low)} to ${change(comparison.high)}`,
            ),
          ),
          number(comparison.before, crt.format(comparison.before, metric.key), "wide-only"),
          number(comparison.after, crt.format(comparison.after, metric.key), "wide-only"),
          number(Math.min(...comparison.n), `${comparison.n[0]} / ${comparison.n[1]}`, "wide-only"),
          crt.el("td", {}, crt.el("span", { class: `badge verdict-${verdict}` }, facts.words[verdict])),
          number(comparison.q, comparison.q === null ? "" : shortP(comparison.q), "wide-only"),
        );
      });
      const heads = [
        "Test",
        { text: "Change", class: "number" },
        "95 % interval",
        { text: "A", class: "number wide-only" },
        { text: "B", class: "number wide-only" },
        { text: "Runs A / B", class: "number wide-only" },
        "Verdict",
        { text: "Adjusted q", class: "number wide-only" },
      ];
      const heading = facts.wanted ? `${capital(facts.words[facts.wanted])}: ${plural(listed.length, "test")}` : "Every test";
      return [
        block("tests", heading, [
          listed.length
            ? table(heads, rows, `${metric.label} of each test in both arms`)
            : crt.el("p", { class: "note" }, `No test is ${facts.words[facts.wanted]} now.`),
        ]),
      ];
    }

    /* How many runs there are, and what could not be seen with so many. */
    resolution(facts) {
      const seen = facts.measured.map((each) => each.comparison).filter((each) => each.detectable !== null);
      const few = facts.measured.length - seen.length;
      const texts = [];
      if (seen.length) {
        const sizes = seen.map((each) => each.detectable).sort((one, other) => one - other);
        const middle = (arm) => crt.stats.quantile(seen.map((each) => each.n[arm]).sort((one, other) => one - other), 0.5);
        texts.push(
          `A test has ${round(middle(0))} runs in A and ${round(middle(1))} in B (medians). With so many, half of the tests ` +
            `would show a change of ${crt.effects.percent(crt.stats.quantile(sizes, 0.5))} or more four times in five; nine in ten of them one of ` +
            `${crt.effects.percent(crt.stats.quantile(sizes, 0.9))}. What is smaller could not be seen.`,
        );
      }
      const shared = facts.arms.a.sessions.filter((each) => facts.arms.b.sessions.includes(each)).length;
      if (shared) texts.push(`${plural(shared, "session")} ${shared === 1 ? "is" : "are"} in both arms, which hides differences.`);
      if (few) texts.push(`${plural(few, "test")} ${few === 1 ? "has" : "have"} fewer than two runs in an arm: no interval, no verdict.`);
      texts.push(
        "Ratios are of geometric means; intervals are Welch's on logarithms. Profiled runs are left out, failed runs count as failures only.",
      );
      return block("resolution", "What could be seen", texts.map((each) => crt.el("p", { class: "note" }, each)));
    }

    link(test) {
      const text = crt.el("span", { class: "clip", title: test.benchmark.id.slice(0, 2000) }, test.benchmark.name.slice(0, 300));
      return test.benchmark.href ? crt.el("a", { href: crt.href(test.benchmark.href) }, text) : text;
    }

    test(test) {
      return crt.el(
        "th",
        { scope: "row" },
        this.link(test),
        crt.el("span", { class: "sub" }, [test.benchmark.suite, test.more].filter(Boolean).join(" · ").slice(0, 200)),
      );
    }
  }

  const empty = () => ({ runs: 0, failed: 0, values: [] });
  const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
  const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
  const plainText = (text) => (text.length <= 48 ? text : `${text.slice(0, 47)}…`);
  const round = (value) => (value < 10 && value % 1 ? value.toFixed(1) : String(Math.round(value)));

  function shortP(value) {
    if (value < 0.0001) return "< 0.0001";
    return value < 0.01 ? value.toPrecision(2) : value.toFixed(2);
  }

  /* How to say more and less of a metric, and each verdict. */
  function words(metric) {
    const timed = Boolean(metric) && ["s", "ms", "us", "ns", "min"].includes(metric.unit) && metric.better === "lower";
    const more = timed ? "slower" : "higher";
    const less = timed ? "faster" : "lower";
    const worse = metric && metric.better === "higher" ? less : more;
    const better = metric && metric.better === "higher" ? more : less;
    return { timed, more, less, worse, better, same: "the same", inconclusive: "cannot tell", few: "too few runs" };
  }

  function tally(tests) {
    const counts = {};
    for (const { comparison } of tests) counts[comparison.verdict] = (counts[comparison.verdict] || 0) + 1;
    return counts;
  }

  /* Verdicts first, then what is furthest from chance. */
  function clearest({ comparison: one }, { comparison: other }) {
    const decided = (each) => (each.verdict === "worse" || each.verdict === "better" ? 0 : 1);
    return decided(one) - decided(other) || one.p - other.p || Math.abs(Math.log(other.ratio)) - Math.abs(Math.log(one.ratio));
  }

  function share({ runs, failed }) {
    return failed ? `${failed} of ${runs}` : `0 of ${runs}`;
  }

  function failure({ a, b }) {
    if (!a.failed) return b.failed === b.runs ? "Fails in B only, always" : "Fails in B only";
    if (!b.failed) return a.failed === a.runs ? "Failed in A only: mended" : "Fails in A only";
    return a.failed === a.runs && b.failed === b.runs ? "Fails in both, always" : "Fails in both";
  }

  function number(value, text, more) {
    const known = value !== null && Number.isFinite(value);
    return crt.el("td", { class: more ? `number ${more}` : "number", "data-value": known ? String(value) : "" }, known ? text : "");
  }

  function block(id, heading, children) {
    return crt.el("section", { class: "block", id, "aria-labelledby": `${id}-heading` }, crt.el("h2", { id: `${id}-heading` }, heading), ...children);
  }

  function table(heads, rows, caption) {
    const head = heads.map((each) =>
      typeof each === "string"
        ? crt.el("th", { scope: "col" }, each)
        : crt.el("th", { scope: "col", class: each.class }, each.text),
    );
    return crt.el(
      "div",
      { class: "table-wrap" },
      crt.el(
        "table",
        { class: "sortable", "data-name": "comparison" },
        crt.el("caption", { class: "visually-hidden" }, caption),
        crt.el("thead", {}, crt.el("tr", {}, ...head)),
        crt.el("tbody", {}, ...rows),
      ),
    );
  }

})();
