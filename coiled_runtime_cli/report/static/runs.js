/* The runs that a person chose, read from the catalogue and its bundles: for the compare, bars and TPC-H pages. */
"use strict";

(function () {
  const DAY = 86400000;

  /* Sessions of one selection that are read at most: beyond them a page would load for minutes. */
  const MOST_SESSIONS = 400;

  /* Sessions that "before" takes: what is usual lately. */
  const BEFORE = 20;

  /* Suggestions of one kind that are offered, the newest. */
  const MOST_SUGGESTIONS = 300;

  const KINDS = {
    label: "label",
    runtime: "runtime",
    version: "version",
    commit: "commit",
    session: "session",
    before: "sessions before",
    dates: "dates",
  };

  let decoded = null;

  /* The catalogue with its columns decoded and its names indexed. */
  function catalogue() {
    decoded = decoded || crt.load("compare").then(decode);
    return decoded;
  }

  function decode(raw) {
    const sessions = { id: raw.sessions.id, count: raw.sessions.id.length };
    for (const name of ["label", "started", "month", "runtimes", "environment", "runs"]) {
      sessions[name] = crt.column(raw.sessions[name]);
    }
    const newestFirst = Array.from(sessions.id.keys()).sort((one, other) => later(sessions, one, other));
    return {
      ...raw,
      sessions,
      newestFirst,
      benchmarkOf: new Map(raw.benchmarks.map((each, index) => [each.token, index])),
      sessionOf: new Map(sessions.id.map((id, index) => [id, index])),
    };
  }

  function later(sessions, one, other) {
    const a = sessions.started[one];
    const b = sessions.started[other];
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b) || other - one;
    return b - a || other - one;
  }

  function labelOf(known, session) {
    return known.labels[known.sessions.label[session]];
  }

  function runtimesOf(known, session) {
    return known.runtime_sets[known.sessions.runtimes[session]];
  }

  function environmentOf(known, session) {
    return known.environments[known.sessions.environment[session]] || { versions: {}, commits: {} };
  }

  /* "label:main" -> {kind, value}; kind is null where the text names none. */
  function parse(text) {
    const colon = text.indexOf(":");
    const kind = text.slice(0, Math.max(0, colon));
    return Object.hasOwn(KINDS, kind) ? { kind, value: text.slice(colon + 1) } : { kind: null, value: text };
  }

  function day(text, end) {
    if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return text === "" ? (end ? Infinity : -Infinity) : NaN;
    return Date.parse(text + "T00:00:00Z") + (end ? DAY : 0);
  }

  /* Which sessions a selection means, as a predicate; null where the value cannot be read. */
  function predicate(known, { kind, value }) {
    const { sessions } = known;
    if (kind === "label") return (each) => (labelOf(known, each) ?? "") === value;
    if (kind === "runtime") {
      const runtime = known.runtimes.findIndex((each) => each.id === value);
      return (each) => runtime >= 0 && runtimesOf(known, each).includes(runtime);
    }
    if (kind === "version") {
      const [name, version] = halves(value, "==");
      return (each) => version !== "" && environmentOf(known, each).versions[name] === version;
    }
    if (kind === "commit") {
      const [name, prefix] = halves(value, "@");
      return (each) => prefix !== "" && (environmentOf(known, each).commits[name] || "").startsWith(prefix);
    }
    if (kind === "session") return (each) => value !== "" && sessions.id[each].startsWith(value);
    if (kind === "before") {
      const place = known.newestFirst.findIndex((each) => value !== "" && sessions.id[each].startsWith(value));
      const earlier = new Set(
        known.newestFirst
          .slice(place + 1)
          .filter((each) => place >= 0 && labelOf(known, each) === labelOf(known, known.newestFirst[place]))
          .slice(0, BEFORE),
      );
      return (each) => earlier.has(each);
    }
    if (kind === "dates") {
      const [first, last] = halves(value, "..");
      const from = day(first, false);
      const to = day(last, true);
      return (each) => sessions.started[each] >= from && sessions.started[each] < to;
    }
    return () => false;
  }

  function halves(text, mark) {
    const place = text.indexOf(mark);
    return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + mark.length)];
  }

  /* An arm: its sessions, the newest first. `sessions` is empty where nothing fits; then `nearest` may say what was meant. */
  function select(known, text) {
    const selection = parse(text);
    const all = known.newestFirst.filter(predicate(known, selection));
    const sessions = all.slice(0, MOST_SESSIONS);
    const runtime =
      selection.kind === "runtime" ? known.runtimes.findIndex((each) => each.id === selection.value) : null;
    return {
      ...selection,
      text,
      sessions,
      runtime,
      total: all.length,
      runs: sessions.reduce((sum, each) => sum + known.sessions.runs[each], 0),
      nearest: all.length ? null : nearest(known, selection),
    };
  }

  /* What can be chosen of a kind: {value, text}, the newest first. */
  function suggestions(known, kind) {
    if (kind === "dates") return [];
    const found = new Map();
    const add = (value, session, text) => {
      const known = found.get(value);
      if (known) known.sessions += 1;
      else found.set(value, { value, text, sessions: 1, last: session });
    };
    for (const session of known.newestFirst) {
      const environment = environmentOf(known, session);
      if (kind === "label") add(labelOf(known, session) ?? "", session, labelOf(known, session) ?? "no label");
      if (kind === "runtime") {
        for (const each of runtimesOf(known, session)) {
          add(known.runtimes[each].id, session, known.runtimes[each].text);
        }
      }
      if (kind === "version") {
        for (const [name, version] of Object.entries(environment.versions)) {
          add(`${name}==${version}`, session, `${name} ${version}`);
        }
      }
      if (kind === "commit") {
        for (const [name, commit] of Object.entries(environment.commits)) {
          add(`${name}@${commit.slice(0, 12)}`, session, `${name} ${commit.slice(0, 9)}`);
        }
      }
      if (kind === "session" || kind === "before") {
        add(known.sessions.id[session], session, labelOf(known, session) ?? "no label");
      }
    }
    return Array.from(found.values())
      .slice(0, MOST_SUGGESTIONS)
      .map((each) => ({
        value: each.value,
        text: [
          each.text === each.value ? null : each.text,
          each.sessions === 1 ? null : `${each.sessions} sessions`,
          crt.date(known.sessions.started[each.last], false),
        ]
          .filter(Boolean)
          .join(" · "),
      }));
  }

  /* The suggestion that a text which means nothing is closest to, as a selection; null where nothing is close. */
  function nearest(known, { kind, value }) {
    if (kind === "before" && value && known.sessions.id.some((each) => each.startsWith(value))) return null; // the first one
    const kinds = kind === "dates" ? [] : kind ? [kind] : ["label", "runtime", "version", "session"];
    const wanted = value.slice(0, 100).toLowerCase();
    let best = null;
    for (const each of kinds) {
      for (const suggestion of suggestions(known, each)) {
        const candidate = suggestion.value.toLowerCase().slice(0, 100);
        const far = candidate.includes(wanted) ? 0 : distance(wanted, candidate);
        if ((best === null || far < best.far) && far <= Math.max(2, wanted.length * 0.6)) {
          best = { far, text: `${each}:${suggestion.value}` };
        }
      }
    }
    return best && best.text;
  }

  /* How many letters have to be added, taken or changed (Levenshtein). */
  function distance(one, other) {
    let row = Array.from({ length: other.length + 1 }, (_, index) => index);
    for (let i = 1; i <= one.length; i++) {
      const next = [i];
      for (let j = 1; j <= other.length; j++) {
        next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (one[i - 1] !== other[j - 1]));
      }
      row = next;
    }
    return row[other.length];
  }

  /* What to compare where nobody has said: the baseline's label or two new labels, else the last session with those before. */
  function usual(known) {
    if (!known.sessions.count) return { a: "", b: "" };
    const labels = Array.from(new Set(known.newestFirst.map((each) => labelOf(known, each) ?? "")));
    const last = known.sessions.id[known.newestFirst[0]];
    if (known.baseline !== null && labels.includes(known.baseline) && labels.length > 1) {
      const other = labels.find((each) => each !== known.baseline);
      return { a: `label:${known.baseline}`, b: `label:${other}` };
    }
    if (labels.length > 1) {
      const sessions = (label) => known.newestFirst.filter((each) => (labelOf(known, each) ?? "") === label).length;
      const several = labels.filter((each) => sessions(each) > 1); // one session seldom has enough runs to say anything
      const [b, a] = several.length > 1 ? several : labels;
      return { a: `label:${a}`, b: `label:${b}` };
    }
    return { a: `before:${last}`, b: `session:${last}` };
  }

  /* The runs of some sessions with one metric: {runtime, session, benchmark, outcome, profiled, value}, the first three as
     places in the catalogue; a missing value is NaN. */
  async function read(known, sessions, metric, runtime = null) {
    const wanted = new Set(sessions);
    const names = new Map();
    for (const session of sessions) {
      for (const each of runtimesOf(known, session)) {
        if (runtime !== null && each !== runtime) continue;
        names.set(`${known.runtimes[each].id}/${known.months[known.sessions.month[session]]}`, each);
      }
    }
    const file = (known.metrics.find((each) => each.key === metric) || {}).file;
    const parts = await Promise.all(
      Array.from(names).map(async ([name, place]) => {
        const bundle = known.bundles[name];
        if (!bundle) return [];
        const measured = bundle.metrics.includes(metric);
        const [runs, column] = await Promise.all([
          crt.load(`c/${name}`),
          measured ? crt.load(`c/${name}.${file}`) : null,
        ]);
        return part(known, place, runs, column, wanted);
      }),
    );
    return parts.flat();
  }

  function part(known, runtime, runs, column, wanted) {
    const sessions = runs.sessions.map((id) => known.sessionOf.get(id) ?? -1);
    const benchmarks = runs.benchmarks.map((token) => known.benchmarkOf.get(token) ?? -1);
    const session = crt.column(runs.session);
    const benchmark = crt.column(runs.benchmark);
    const outcome = crt.column(runs.outcome);
    const profiled = crt.column(runs.profiled);
    const values = column && crt.column(column.values);
    const rows = [];
    for (let row = 0; row < session.length; row++) {
      const place = sessions[session[row]];
      if (!wanted.has(place) || benchmarks[benchmark[row]] < 0) continue;
      rows.push({
        runtime,
        session: place,
        benchmark: benchmarks[benchmark[row]],
        outcome: crt.OUTCOMES[outcome[row]],
        profiled: profiled[row] === 1,
        value: values ? values[row] : NaN,
      });
    }
    return rows;
  }

  const FAILED = new Set(["failed", "error", "timeout", "crashed"]);

  /* A figure with what the browser computed in place of its references; {"each": name, "of": trace} becomes many traces. */
  function fill(value, computed) {
    if (Array.isArray(value)) {
      return value.flatMap((each) => {
        if (each && typeof each === "object" && "each" in each) {
          return computed[each.each].map((own) => fill(each.of, { ...computed, ...own }));
        }
        return [fill(each, computed)];
      });
    }
    if (value && typeof value === "object") {
      if ("computed" in value) return computed[value.computed];
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, fill(each, computed)]));
    }
    return value;
  }

  /* A text as Plotly shows it letter by letter, on one line, cut to what fits a label. */
  function plain(text, longest = 60) {
    const line = String(text).split(/\s+/).join(" ").trim();
    const cut = line.length <= longest ? line : line.slice(0, longest - 1) + "…";
    return cut.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  }

  /* The size of a change within a sentence: "3.1 %", "3.2 times". */
  function size(ratio) {
    const text = crt.ratio(ratio);
    return /^[x/]/.test(text) ? `${text.slice(1)} times` : text.replace(/^[+-]/, "");
  }

  crt.runs = {
    KINDS, FAILED, MOST_SESSIONS, BEFORE,
    catalogue, parse, select, suggestions, usual, read, fill, plain, size, labelOf, environmentOf, runtimesOf,
  };
})();
