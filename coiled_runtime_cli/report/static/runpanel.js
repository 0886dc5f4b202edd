/* Everything that is stored about one run: what it measured, on what, in which environment, and what moved since the run before. */
"use strict";
(() => {
  const el = crt.el;
  const PHASES = ["not reached", "passed", "failed", "skipped"];
  const ARTEFACTS = { performance_report: "Performance report", cluster_dump: "Cluster dump", memray: "Memray profiles", py_spy: "py-spy profiles" };

  const link = (address, text) => (crt.webAddress(address) ? el("a", { href: address, rel: "noopener" }, text || address) : el("code", {}, String(address)));

  /** Where an artefact is: a link if this page may open it. Of the web none may open a file, and no browser knows s3. */
  const artefact = (address) => {
    const file = location.protocol === "file:" && /^file:\/\/\/[^\s]+$/i.test(String(address));
    return file ? el("a", { href: String(address) }, String(address)) : link(address);
  };

  /** A list of names and values; what is not known is left out. */
  const facts = (pairs) => {
    const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
    return known.length ? el("dl", {}, known.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])) : null;
  };

  const section = (title, ...content) => {
    const there = content.flat().filter(Boolean);
    return there.length ? el("section", {}, el("h3", {}, title), ...there) : null;
  };

  const short = (text, longest = 400) => {
    if (text.length <= longest) return el("pre", { tabindex: "0" }, text);
    return el("details", {}, el("summary", {}, el("code", {}, `${text.slice(0, 160)} …`)), el("pre", { tabindex: "0" }, text));
  };

  /** The forge's view of what lies between two states of a package. */
  crt.compareUrl = (forges, before, after) => {
    const forge = forges[after.name];
    const reference = (each) => {
      if (each.commit && /^[0-9a-f]{7,64}$/.test(each.commit)) return each.commit;
      const [release, local] = (each.version || "").split("+");
      const described = /(?:^|\.)g([0-9a-f]{7,40})(?:\.|$)/.exec(local || "");
      if (described) return described[1];
      return !local && /^[0-9][0-9A-Za-z.!_-]*$/.test(release) && forge ? forge.tag.replace("{version}", release) : null;
    };
    const [old, now] = [reference(before), reference(after)];
    if (!forge || !old || !now || old === now) return null;
    return forge.compare.replace("{before}", encodeURIComponent(old)).replace("{after}", encodeURIComponent(now));
  };

  const versionText = (each) => {
    if (!each) return "none";
    const commit = each.commit && !(each.version || "").includes(each.commit.slice(0, 7)) ? ` (${each.commit.slice(0, 8)})` : "";
    return `${each.version || "of no version"}${commit}${each.dirty ? ", changed" : ""}`;
  };

  /** What moved between two environments: [name, before, after, address]. */
  const moved = (before, after, forges) => {
    const byName = (environment) => new Map(environment.packages.map((each) => [each.name, each]));
    const [olds, news] = [byName(before), byName(after)];
    const rows = [];
    if (before.python !== after.python) rows.push(["python", before.python || "?", after.python || "?", null]);
    for (const name of [...new Set([...olds.keys(), ...news.keys()])].sort()) {
      const [old, now] = [olds.get(name), news.get(name)];
      const same = old && now && old.version === now.version && old.commit === now.commit && Boolean(old.dirty) === Boolean(now.dirty);
      if (!same) rows.push([name, versionText(old), versionText(now), old && now ? crt.compareUrl(forges, old, now) : null]);
    }
    return rows;
  };

  const panel = {
    shown: null,

    close() {
      const dialog = document.getElementById("run");
      if (dialog && dialog.open) dialog.close();
    },

    async open(benchmark, name, row) {
      const dialog = document.getElementById("run");
      const unit = benchmark.units.get(name);
      const place = benchmark.page.units.find((each) => each.name === name);
      const body = el("div", { class: "run-body" }, el("p", { class: "note" }, "Reading …"));
      const close = el("button", { type: "button", class: "icon", "aria-label": "Close", on: { click: () => dialog.close() } }, "×");
      const series = unit.series[unit.seriesOf[row]];
      dialog.replaceChildren(
        el("div", { class: "run-head" }, el("h2", { id: "run-title" }, series.name.length > 120 ? `${series.name.slice(0, 119)}…` : series.name), close),
        body,
      );
      dialog.onclose = () => {
        panel.shown = null;
        if (crt.state.get("run")) crt.state.set({ run: null });
      };
      dialog.onclick = (event) => {
        if (event.target === dialog) dialog.close();
      };
      if (!dialog.open) dialog.showModal();
      try {
        const details = await unit.details(row);
        const uuid = crt.uuid(crt.column(details.file.uuid), details.row);
        panel.shown = uuid;
        crt.state.set({ run: uuid, runtime: benchmark.shown.includes(place.runtime) ? crt.state.get("runtime") : place.runtime });
        body.replaceChildren(...(await panel.content(benchmark, place, unit, row, details, uuid)).filter(Boolean));
      } catch (error) {
        body.replaceChildren();
        crt.complain(body, error);
      }
    },

    async content(benchmark, place, unit, row, details, uuid) {
      const stored = (name) => crt.column(details.file[name])[details.row];
      const [id, month] = details.file.sessions[stored("session")];
      const environment = unit.environments[unit.environment[row]];
      const load = (path) => crt.load(path).catch(() => null);
      const [sessions, installed] = await Promise.all([load(`sessions/${month}`), environment ? load(`environments/${environment.id}`) : null]);
      const session = sessions ? sessions[id] : null;
      const note = details.file.notes[details.row] || {};
      const cluster = details.file.clusters[stored("cluster")];
      const previous = panel.before(unit, row);
      return [
        panel.what(benchmark, place, unit, row, details, note, uuid),
        section("Measured", panel.measured(benchmark, unit, row, previous)),
        section("Since the run before", await panel.since(benchmark, unit, row, previous, installed)),
        section("Session", facts([["Started", session && session.started !== null ? crt.date(session.started) : null], ["Label", session && session.label], ["Scale", session && session.scale], ["Command", session && session.command.length ? el("code", {}, session.command.join(" ")) : null], ["Suites", session && session.suites_commit ? `${session.suites_commit.slice(0, 12)}${session.suites_dirty ? ", changed" : ""}` : null], ["CI run", session && session.ci_url ? link(session.ci_url) : null], ["crt", session && session.crt_version], ["Session", el("code", {}, id)]]), session && session.interrupted ? el("p", { class: "bad" }, "The session was interrupted.") : null),
        section("Host", session ? facts(Object.entries(session.host).map(([key, value]) => [key.replaceAll("_", " "), value === null ? null : key === "memory" ? crt.bytes(value) : String(value)])) : null),
        section("Cluster", cluster ? facts([["Kind", cluster.kind], ["Name", cluster.name], ["Details", cluster.details_url ? link(cluster.details_url, "open") : null], ["Software", cluster.software_name], ["Asked for", Object.keys(cluster.spec).length ? el("code", {}, JSON.stringify(cluster.spec)) : null], ["Dask configuration", Object.keys(cluster.dask_config).length ? el("code", {}, JSON.stringify(cluster.dask_config)) : null]]) : null),
        section("Environment", panel.environment(installed)),
      ];
    },

    /** The run before this one in its series that was no skip. */
    before(unit, row) {
      for (let each = row - 1; each >= 0; each -= 1) {
        if (unit.seriesOf[each] === unit.seriesOf[row] && unit.kind(each) !== "skipped") return each;
      }
      return null;
    },

    what(benchmark, place, unit, row, details, note, uuid) {
      const outcome = crt.OUTCOMES[unit.outcome[row]];
      const end = crt.times(details.file.end)[details.row];
      const phase = (name) => PHASES[crt.column(details.file[name])[details.row]];
      const artefacts = Object.entries(note.artefacts || {}).map(([kind, address]) => el("li", {}, `${ARTEFACTS[kind] || kind}: `, artefact(address)));
      return el(
        "section",
        {},
        el("p", { class: "run-what" }, el("span", { class: `badge ${outcome === "passed" ? "improvement" : "regression"}` }, outcome), ` ${crt.date(unit.time[row])} · ${place.text}`, unit.profiled[row] ? " · profiled, so no part of any level" : ""),
        note.failure ? short(note.failure) : null,
        artefacts.length ? el("ul", {}, artefacts) : null,
        facts([["Setup, call, teardown", `${phase("setup")}, ${phase("call")}, ${phase("teardown")}`], ["End", Number.isNaN(end) ? null : crt.date(end)], ["Round", unit.repeat[row] ? String(unit.repeat[row] + 1) : null], ["Run", el("code", {}, uuid)]]),
      );
    },

    measured(benchmark, unit, row, previous) {
      const rows = benchmark.page.metrics
        .filter((metric) => unit.metric(metric.key) && !Number.isNaN(unit.metric(metric.key)[row]))
        .map((metric) => {
          const values = unit.metric(metric.key);
          const old = previous === null ? NaN : values[previous];
          const change = values[row] > 0 && old > 0 ? crt.ratio(values[row] / old) : "–";
          return el("tr", {}, el("th", { scope: "row" }, metric.label), el("td", { class: "number" }, crt.format(values[row], metric)), el("td", { class: "number" }, change));
        });
      if (!rows.length) return el("p", { class: "note" }, "Nothing was measured.");
      const head = el("tr", {}, el("th", { scope: "col" }, "Metric"), el("th", { scope: "col", class: "number" }, "Value"), el("th", { scope: "col", class: "number" }, "Against the run before"));
      return el("table", {}, el("thead", {}, head), el("tbody", {}, rows));
    },

    async since(benchmark, unit, row, previous, installed) {
      if (previous === null) return el("p", { class: "note" }, "It is the first run of its series.");
      const [here, there] = [unit.environment[row], unit.environment[previous]];
      const when = `The run before was on ${crt.date(unit.time[previous])}.`;
      if (here === there) return el("p", {}, `${when} The same environment.`);
      const older = unit.environments[there];
      const before = older ? await crt.load(`environments/${older.id}`).catch(() => null) : null;
      if (!before || !installed) return el("p", { class: "note" }, `${when} What was installed is not known.`);
      const rows = moved(before, installed, benchmark.page.forges);
      if (!rows.length) return el("p", {}, `${when} The same packages.`);
      const cells = ([name, old, now, address]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, old), el("td", {}, now), el("td", {}, address ? link(address, "commits") : ""));
      const head = el("tr", {}, ["Package", "Before", "After", ""].map((text) => el("th", { scope: "col" }, text)));
      return [el("p", {}, when), el("div", { class: "table-wrap" }, el("table", {}, el("thead", {}, head), el("tbody", {}, rows.map(cells))))];
    },

    environment(installed) {
      if (!installed) return el("p", { class: "note" }, "Nothing is known of it.");
      const rows = installed.packages.map((each) => el("tr", {}, el("th", { scope: "row" }, each.name), el("td", {}, versionText(each)), el("td", {}, each.url ? link(each.url, "source") : each.imported ? "imported" : "")));
      const head = el("tr", {}, ["Package", "Version", ""].map((text) => el("th", { scope: "col" }, text)));
      return [
        facts([["Python", installed.python], ["Platform", installed.platform]]),
        el("details", {}, el("summary", {}, `${installed.packages.length} packages`), el("table", {}, el("thead", {}, head), el("tbody", {}, rows))),
      ];
    },
  };

  crt.runPanel = panel;
})();
