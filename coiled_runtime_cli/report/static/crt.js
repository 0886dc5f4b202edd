/* The report in the browser: data files, address, theme, metric, search, tables, charts. Everything hangs on window.crt.

   Works from a folder (file:// forbids fetch and modules, so data files are scripts that call crt.data) and as one file
   (their payloads then stand in the document). Text from data only ever becomes textContent. */
"use strict";
(() => {
  const html = document.documentElement;
  const root = html.dataset.root || "";
  const assets = JSON.parse(html.dataset.assets || "{}");
  const single = html.dataset.single !== undefined;
  const OUTCOMES = ["passed", "failed", "error", "skipped", "timeout", "crashed"];
  const crt = (window.crt = { OUTCOMES, single });

  // --- elements -------------------------------------------------------------------------------------------------------

  /** An element with attributes and children; strings become text. `on` of attributes are listeners: {on: {click: f}}. */
  crt.el = (tag, attributes = {}, ...children) => {
    const svg = ["svg", "polyline", "line", "rect", "circle", "path", "title", "g"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  };

  /** Say in a place why there is nothing to be seen, and what to do about it. */
  crt.say = (place, what, more = "") => {
    place.replaceChildren(crt.el("div", { class: "empty" }, crt.el("p", { class: "empty-what" }, what), crt.el("p", {}, more)));
  };

  // --- data files -----------------------------------------------------------------------------------------------------

  const loaded = new Map();
  const arrived = new Map();

  /** Called by each data file with its name and what it holds. */
  crt.data = (name, payload) => arrived.set(name, payload);

  /** What the data file `name` holds; a promise that is refused with an Error a person can read. */
  crt.load = (name) => {
    if (!loaded.has(name)) loaded.set(name, single ? embedded(name) : added(`${root}data/${encodePath(name)}.js`, name));
    return loaded.get(name);
  };

  const encodePath = (path) => path.split("/").map(encodeURIComponent).join("/");

  async function embedded(name) {
    for (const script of document.querySelectorAll("script[data-name]")) {
      if (script.dataset.name === name) return JSON.parse(script.textContent);
    }
    throw new Error(`This file does not hold ${name}.`);
  }

  async function added(source, name) {
    await attach(source, `The file ${source} could not be loaded. Is the report complete?`);
    if (!arrived.has(name)) throw new Error(`The file ${source} does not hold what its name says.`);
    return arrived.get(name);
  }

  const attach = (source, complaint) =>
    new Promise((resolve, reject) => {
      const script = crt.el("script", { src: source });
      script.onload = resolve;
      script.onerror = () => reject(new Error(complaint));
      document.head.append(script);
    });

  const scripts = new Map();

  /** Load a script of static/ once. */
  crt.script = (name) => {
    if (name === "plotly.min.js" && window.Plotly) return Promise.resolve();
    if (single) return Promise.resolve();
    if (!scripts.has(name)) {
      const source = `${root}static/${assets[name] || name}`;
      scripts.set(name, attach(source, `The file ${source} could not be loaded. Is the report complete?`));
    }
    return scripts.get(name);
  };

  const ARRAYS = {
    f4: Float32Array,
    f8: Float64Array,
    u1: Uint8Array,
    u2: Uint16Array,
    u4: Uint32Array,
    i4: Int32Array,
  };

  /** The typed array of a column: {"t", "b"}, or {"t", "n", "v"} where all values are one. */
  crt.column = (column) => {
    const Type = ARRAYS[column.t];
    if (column.b === undefined) return new Type(column.n).fill(column.v);
    const text = atob(column.b);
    const bytes = new Uint8Array(text.length);
    for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
    return new Type(bytes.buffer);
  };

  // --- the address ----------------------------------------------------------------------------------------------------

  const listeners = new Set();
  const pairs = () => new Map([...new URLSearchParams(location.hash.slice(1))]);

  /** The state of a page in its address: #metric=duration&q=read. It can be sent to a colleague. */
  crt.state = {
    get: (key) => pairs().get(key) ?? null,
    all: () => Object.fromEntries(pairs()),
    set: (changes) => {
      const state = pairs();
      for (const [key, value] of Object.entries(changes)) {
        if (value === null || value === undefined || value === "") state.delete(key);
        else state.set(key, String(value));
      }
      const text = [...state].map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join("&");
      // an empty fragment would scroll to the top and leave a lonely sign
      history.replaceState(history.state, "", text ? `#${text}` : location.pathname + location.search);
    },
    on: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };

  window.addEventListener("hashchange", () => {
    if (single && route()) return;
    syncMetric();
    for (const listener of [...listeners]) listener();
  });

  /** The address of a page of the report, from its path below the report's folder: "benchmark/x.html#run=1". */
  crt.href = (path) => {
    if (!single) return root + path;
    const [page, state] = path.split("#");
    return `#page=${encodeURIComponent(page)}${state ? `&${state}` : ""}`;
  };

  // --- what the browser remembers -------------------------------------------------------------------------------------

  const memory = {
    get: (key) => {
      try {
        return localStorage.getItem(key);
      } catch {
        return null; // a file:// page may have no storage
      }
    },
    set: (key, value) => {
      try {
        localStorage.setItem(key, value);
      } catch {
        /* it is then chosen again on the next page */
      }
    },
  };

  // --- theme ----------------------------------------------------------------------------------------------------------

  const THEMES = ["auto", "light", "dark"];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  crt.theme = () => {
    const chosen = html.dataset.theme || "auto";
    return chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
  };
  const setTheme = (theme) => {
    html.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) {
      button.title = `Colours: ${theme}. Press for ${THEMES[(THEMES.indexOf(theme) + 1) % 3]}.`;
      button.setAttribute("aria-label", button.title);
      button.dataset.theme = theme;
    }
    document.dispatchEvent(new CustomEvent("crt:theme"));
  };
  const remembered = memory.get("crt.theme");
  html.dataset.theme = THEMES.includes(remembered) ? remembered : "auto";
  dark.addEventListener("change", () => document.dispatchEvent(new CustomEvent("crt:theme")));

  // --- metric ---------------------------------------------------------------------------------------------------------

  let metrics = [];

  /** The key of the metric that the whole site shows. */
  crt.metric = () => {
    const known = (key) => key && (key === "all" || metrics.some((metric) => metric.key === key));
    const wished = [crt.state.get("metric"), memory.get("crt.metric")].find(known);
    return wished || html.dataset.metric || "duration";
  };
  crt.metrics = () => metrics;
  const syncMetric = () => {
    const select = document.getElementById("metric");
    const key = crt.metric();
    if (!select || select.value === key) return;
    select.value = key;
    document.dispatchEvent(new CustomEvent("crt:metric"));
  };

  // --- numbers --------------------------------------------------------------------------------------------------------

  /** So many decimals as Python writes them: a tie goes to the even digit, where toFixed goes away from zero. */
  const fixed = (value, digits = 0) => {
    const scaled = value * 10 ** digits;
    const tie = Number.isInteger(value * 2 ** (digits + 1)) && Math.abs(scaled % 1) === 0.5;
    return tie ? ((2 * Math.round(scaled / 2)) / 10 ** digits).toFixed(digits) : value.toFixed(digits);
  };
  const round = (value) => Number(fixed(value));

  const threeDigits = (value) => fixed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);

  crt.seconds = (value) => {
    if (!Number.isFinite(value)) return String(value);
    const sign = value < 0 ? "-" : "";
    let size = Math.abs(value);
    if (size === 0) return "0 s";
    if (size >= 999.5) {
      const seconds = round(size);
      if (Math.floor(seconds / 60) < 60) {
        return `${sign}${Math.floor(seconds / 60)}m ${String(seconds % 60).padStart(2, "0")}s`;
      }
      const minutes = round(size / 60);
      return `${sign}${Math.floor(minutes / 60)}h ${String(minutes % 60).padStart(2, "0")}m`;
    }
    for (const [unit, factor] of [["ns", 1e-9], ["us", 1e-6], ["ms", 1e-3]]) {
      if (size < factor * 999.5) return `${sign}${threeDigits(size / factor)} ${unit}`;
    }
    return `${sign}${threeDigits(size)} s`;
  };

  crt.bytes = (value) => {
    if (!Number.isFinite(value)) return String(value);
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let size = Math.abs(value);
    let unit = 0;
    while (round(size) >= 1024 && unit < units.length - 1) {
      size /= 1024;
      unit += 1;
    }
    return `${value < 0 ? "-" : ""}${unit === 0 ? fixed(size) : threeDigits(size)} ${units[unit]}`;
  };

  crt.number = (value) => {
    if (!Number.isFinite(value)) return String(value);
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size >= 1e9 || size < 1e-3) return value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
    if (size >= 999.5) return round(value).toLocaleString("en-US");
    return fixed(value, Math.max(0, 2 - Math.floor(Math.log10(size))));
  };

  const SECONDS = { s: 1, ms: 1e-3, us: 1e-6, "µs": 1e-6, ns: 1e-9 };
  const BYTES = { B: 1, bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

  /** A stored value as a person reads it; Python's report/text.py says the same. */
  crt.format = (value, key) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const metric = typeof key === "string" ? metrics.find((each) => each.key === key) : key;
    if (!metric) return crt.number(value);
    if (Object.hasOwn(SECONDS, metric.unit)) return crt.seconds(value * (SECONDS[metric.unit] / metric.scale));
    if (Object.hasOwn(BYTES, metric.unit)) return crt.bytes(value * (BYTES[metric.unit] / metric.scale));
    return crt.number(value / metric.scale) + (metric.unit ? ` ${metric.unit}` : "");
  };

  /** A ratio as a change: +12 %, -8.3 %, x3.2, /2.0. */
  crt.ratio = (ratio) => {
    if (!(Number.isFinite(ratio) && ratio > 0)) return "?";
    if (ratio >= 2) return `x${ratio >= 9.95 ? crt.number(ratio) : fixed(ratio, 1)}`;
    if (ratio <= 0.5) return `/${ratio <= 1 / 9.95 ? crt.number(1 / ratio) : fixed(1 / ratio, 1)}`;
    const percent = (ratio - 1) * 100;
    const digits = Math.abs(percent) >= 9.95 ? 0 : 1;
    const text = fixed(percent, digits);
    if (Number(text) === 0) return "0.0 %";
    return `${percent > 0 ? "+" : ""}${text} %`;
  };

  /** "2 hours ago" of a moment in milliseconds. */
  crt.ago = (moment, now = Date.now()) => {
    const seconds = Math.max(0, (now - moment) / 1000);
    for (const [unit, size] of [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]]) {
      const count = Math.floor(seconds / size);
      if (count >= 1) return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
    }
    return "just now";
  };

  crt.date = (moment, time = true) => {
    if (moment === null || moment === undefined || Number.isNaN(moment)) return "unknown";
    const text = new Date(moment).toISOString();
    return time ? `${text.slice(0, 10)} ${text.slice(11, 16)} UTC` : text.slice(0, 10);
  };

  /** A link's address if it leads to the web, else null: data may hold anything. */
  crt.webAddress = (address) => (/^https?:\/\/[^\s]+$/i.test(String(address || "")) ? String(address) : null);

  const describeTimes = (within) => {
    for (const time of within.querySelectorAll("time[data-ago]")) {
      const moment = Date.parse(time.dateTime);
      if (!Number.isFinite(moment)) continue;
      time.textContent = crt.ago(moment);
      time.title = crt.date(moment);
      const old = time.closest("[data-stale-after]");
      if (old && Date.now() - moment > Number(old.dataset.staleAfter) * 86400e3) old.classList.add("stale");
    }
  };

  // --- charts ---------------------------------------------------------------------------------------------------------

  const PALETTE = /^(series-[0-7]|regression|improvement|muted|failed|text|background|line)(?:\/([0-9.]+))?$/;

  const colours = () => {
    const style = getComputedStyle(html);
    return (name, alpha) => {
      const value = style.getPropertyValue(`--${name}`).trim();
      if (alpha === undefined || !/^#[0-9a-f]{6}$/i.test(value)) return value;
      const part = (start) => parseInt(value.slice(start, start + 2), 16);
      return `rgba(${part(1)},${part(3)},${part(5)},${alpha})`;
    };
  };

  /** A copy of a figure in the colours of the theme; typed arrays stay what they are. */
  const painted = (value, colour, key = "") => {
    if (typeof value === "string") {
      const found = /color/.test(key) && PALETTE.exec(value); // a test may be called "failed" and is no colour
      return found ? colour(found[1], found[2]) : value;
    }
    if (Array.isArray(value)) {
      return value.length > 200 && typeof value[0] !== "object" ? value : value.map((each) => painted(each, colour, key));
    }
    if (value && typeof value === "object" && !ArrayBuffer.isView(value)) {
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, painted(each, colour, name)]));
    }
    return value;
  };

  const merged = (base, over) => {
    const result = { ...base };
    for (const [key, value] of Object.entries(over || {})) {
      const both = value && result[key] && [value, result[key]].every((each) => typeof each === "object" && !Array.isArray(each));
      result[key] = both ? merged(result[key], value) : value;
    }
    return result;
  };

  const layoutOf = (colour) => {
    const axis = {
      gridcolor: colour("line"),
      linecolor: colour("line"),
      zerolinecolor: colour("line"),
      tickfont: { color: colour("muted") },
      title: { font: { color: colour("muted"), size: 12 } },
    };
    const figure = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("text") },
      hoverlabel: { bgcolor: colour("background"), bordercolor: colour("line"), font: { color: colour("text") } },
      legend: { font: { color: colour("text") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("text") },
    };
    return { axis, figure };
  };

  const CONFIG = {
    displaylogo: false,
    responsive: true,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "toggleSpikelines"],
  };

  const drawn = new Map();

  /** Draw a figure into an element; its colours follow the theme. `units` give the columns of its references. */
  crt.draw = async (element, figure, units) => {
    await crt.script("plotly.min.js");
    const resolved = units ? crt.resolve(figure, units) : figure;
    drawn.set(element, resolved);
    await paint(element, resolved);
    return element;
  };

  async function paint(element, figure) {
    const colour = colours();
    const { axis, figure: base } = layoutOf(colour);
    const given = painted(figure.layout || {}, colour);
    const layout = merged(base, given);
    for (const key of new Set(["xaxis", "yaxis", ...Object.keys(given).filter((name) => /^[xy]axis/.test(name))])) {
      layout[key] = merged(axis, given[key]);
    }
    const label = figure.layout && figure.layout.meta && figure.layout.meta.label;
    element.setAttribute("role", "figure"); // not img: the buttons of its bar can be reached
    if (label) element.setAttribute("aria-label", unescaped(label));
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const config = { ...CONFIG, displayModeBar: window.innerWidth < 700 ? false : "hover" };
    await window.Plotly.react(element, painted(figure.data, colour), { ...layout, transition: still ? undefined : layout.transition }, config);
    for (const svg of element.querySelectorAll(".main-svg")) svg.setAttribute("aria-hidden", "true");
  }

  const unescaped = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

  const repaint = () => {
    for (const [element, figure] of drawn) {
      if (element.isConnected) paint(element, figure);
      else drawn.delete(element);
    }
  };
  document.addEventListener("crt:theme", repaint);
  window.addEventListener("beforeprint", () => {
    for (const element of drawn.keys()) if (element.isConnected) window.Plotly.Plots.resize(element);
  });

  /** The figure with its references ({"ref": [unit, series, kind, column]}) replaced by arrays. `units`: name -> Unit. */
  crt.resolve = (figure, units) => {
    const arrays = (value) => {
      if (Array.isArray(value)) return value.map(arrays);
      if (value && typeof value === "object" && !ArrayBuffer.isView(value)) {
        if (Array.isArray(value.ref)) {
          const unit = units instanceof Map ? units.get(value.ref[0]) : units[value.ref[0]];
          return unit ? unit.values(...value.ref.slice(1)) : [];
        }
        return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, arrays(each)]));
      }
      return value;
    };
    return { ...figure, data: figure.data.map(arrays) };
  };

  const joined = (columns) => {
    if (columns.length === 1) return columns[0];
    const widest = columns.reduce((left, right) => (left.BYTES_PER_ELEMENT >= right.BYTES_PER_ELEMENT ? left : right));
    const all = new widest.constructor(columns.reduce((sum, each) => sum + each.length, 0));
    let place = 0;
    for (const each of columns) {
      all.set(each, place);
      place += each.length;
    }
    return all;
  };

  const UNKNOWN = 2 ** 32 - 1;

  /** Milliseconds since the epoch of a column of seconds. */
  crt.times = (column) => Float64Array.from(crt.column(column), (second) => (second === UNKNOWN ? NaN : second * 1000));

  /** The runs of one function in one runtime, from the data files of its parts, the oldest first. */
  crt.Unit = class {
    constructor(name, files) {
      const all = (key) => joined(files.map((file) => crt.column(file[key])));
      this.name = name;
      this.series = files[files.length - 1].series;
      this.label = files[files.length - 1].label;
      const times = files.map((file) => crt.times(file.time));
      this.time = joined(times);
      this.seriesOf = all("series_of");
      this.outcome = all("outcome");
      this.profiled = all("profiled");
      this.repeat = all("repeat");
      this.length = this.time.length;
      this.lengths = times.map((each) => each.length);
      this.files = files;
      this.columns = new Map();
      this.places = new Map();
      const known = new Map();
      this.environments = [];
      const environments = files.map((file) => {
        const of = file.environments.map((each) => {
          if (!known.has(each.id)) known.set(each.id, this.environments.push(each) - 1);
          return known.get(each.id);
        });
        return Int32Array.from(crt.column(file.environment), (code) => of[code] ?? -1);
      });
      this.environment = joined(environments);
    }

    /** What else is stored of a run: the file that has it, and its row there. */
    async details(row) {
      let part = 0;
      let place = row;
      while (place >= this.lengths[part]) place -= this.lengths[part++];
      const older = this.lengths.length - 1 - part;
      return { file: await crt.load(`r/${this.name.slice(2)}${older ? ".before" : ""}`), row: place };
    }

    /** The row of the run with a UUID, or -1. */
    async find(uuid) {
      const wanted = uuid.toLowerCase();
      let before = 0;
      for (const length of this.lengths) {
        const { file } = await this.details(before);
        const bytes = crt.column(file.uuid);
        for (let row = 0; row < length; row += 1) if (crt.uuid(bytes, row) === wanted) return before + row;
        before += length;
      }
      return -1;
    }

    /** The stored values of a metric by row, or null where no run has any. */
    metric(key) {
      if (!this.columns.has(key)) {
        const stored = this.files.map((file, part) =>
          file.metrics[key] ? crt.column(file.metrics[key]) : new Float32Array(this.lengths[part]).fill(NaN),
        );
        this.columns.set(key, this.files.some((file) => file.metrics[key]) ? joined(stored) : null);
      }
      return this.columns.get(key);
    }

    /** The rows of a series that passed, failed or were profiled. Skipped runs are none of these. */
    rows(series, kind) {
      const key = `${series}/${kind}`;
      if (!this.places.has(key)) {
        const rows = [];
        for (let row = 0; row < this.length; row += 1) {
          if (this.seriesOf[row] === series && this.kind(row) === kind) rows.push(row);
        }
        this.places.set(key, rows);
      }
      return this.places.get(key);
    }

    kind(row) {
      if (this.outcome[row] === 3) return "skipped";
      if (this.outcome[row] !== 0) return "failed";
      return this.profiled[row] ? "profiled" : "passed";
    }

    values(series, kind, column) {
      const rows = this.rows(series, kind);
      if (column === "row") return rows;
      if (column === "time") return rows.map((row) => this.time[row]);
      const metric = crt.metrics().find((each) => each.key === column);
      const scale = metric ? metric.scale : 1;
      const stored = this.metric(column);
      if (!stored) return rows.map(() => null);
      // a failed run has no time to show: it stands where the runs around it do
      if (kind === "failed") return rows.map((row) => this.near(series, row, stored) / scale);
      return Array.from(rows, (row) => (Number.isNaN(stored[row]) ? null : stored[row] / scale));
    }

    near(series, row, stored) {
      if (!Number.isNaN(stored[row])) return stored[row];
      const passed = this.rows(series, "passed").filter((each) => !Number.isNaN(stored[each]));
      const before = passed.filter((each) => each < row).pop();
      const place = before !== undefined ? before : passed[0];
      return place === undefined ? 0 : stored[place];
    }
  };

  /** A unit by the name of its data file. */
  crt.unit = async (name) => {
    const files = [await crt.load(name)];
    if (files[0].before) files.unshift(await crt.load(files[0].before));
    return new crt.Unit(name, files);
  };

  /** The usual spelling of the UUID of a row, of a column with 16 bytes each. */
  crt.uuid = (bytes, row) => {
    const text = Array.from(bytes.subarray(row * 16, row * 16 + 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
    return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`;
  };

  // --- tables ---------------------------------------------------------------------------------------------------------

  const cellValue = (cell) => {
    if (!cell) return "";
    if (cell.dataset.value !== undefined) return cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
    return cell.textContent.trim();
  };

  const collator = new Intl.Collator("en", { numeric: true });

  const sortBy = (table, index, direction) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].filter((row) => row.cells.length > index);
    const compare = (left, right) => {
      const [a, b] = [cellValue(left.cells[index]), cellValue(right.cells[index])];
      if (typeof a === "number" && typeof b === "number") {
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
        return direction * (a - b);
      }
      return direction * collator.compare(String(a), String(b));
    };
    rows.sort(compare);
    body.append(...rows);
  };

  /** A moment is copied as such: "3 hours ago" is true for an hour. */
  const cellText = (cell) => cell.dataset.text ?? cell.querySelector("time[data-ago]")?.dateTime ?? cell.innerText ?? "";

  const texts = (table) =>
    [...table.rows]
      .filter((row) => !row.hidden)
      .map((row) => [...row.cells].map((cell) => cellText(cell).trim().replace(/\s+/g, " ")));

  const csvCell = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return;
    } catch {
      /* file:// has no clipboard of its own */
    }
    const area = crt.el("textarea", { class: "visually-hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  /** Give every table of class sortable its buttons: sort by a head, copy, CSV. */
  crt.table = (within = document) => {
    for (const table of within.querySelectorAll("table.sortable")) {
      if (table.dataset.ready) continue;
      table.dataset.ready = "yes";
      [...table.tHead.rows[0].cells].forEach((head, index) => {
        if (head.dataset.plain !== undefined || !head.textContent.trim()) return;
        const button = crt.el("button", { type: "button", class: "sort" });
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
          const next = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
          for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
          head.setAttribute("aria-sort", next);
          sortBy(table, index, next === "ascending" ? 1 : -1);
        });
      });
      const tools = crt.el("div", { class: "table-tools" });
      const copied = crt.el("button", { type: "button", class: "quiet" }, "Copy");
      copied.addEventListener("click", async () => {
        await copy(texts(table).map((row) => row.join("\t")).join("\n"));
        copied.textContent = "Copied";
        setTimeout(() => (copied.textContent = "Copy"), 1500);
      });
      const csv = crt.el("button", { type: "button", class: "quiet" }, "CSV");
      csv.addEventListener("click", () => {
        const text = texts(table).map((row) => row.map(csvCell).join(",")).join("\r\n");
        const address = URL.createObjectURL(new Blob([text + "\r\n"], { type: "text/csv" }));
        crt.el("a", { href: address, download: `${table.dataset.name || "table"}.csv` }).click();
        setTimeout(() => URL.revokeObjectURL(address), 1000);
      });
      tools.append(copied, csv);
      (table.closest(".table-wrap") || table).before(tools);
    }
  };

  // --- search ---------------------------------------------------------------------------------------------------------

  let entries = null;
  let active = -1;

  const score = (entry, words) => {
    const text = entry.text.toLowerCase();
    const all = `${text} ${entry.more.toLowerCase()} ${entry.kind}`;
    let total = 0;
    for (const word of words) {
      const place = text.indexOf(word);
      if (place === 0) total += 4;
      else if (place > 0) total += /[^a-z0-9]/.test(text[place - 1]) ? 3 : 2;
      else if (all.includes(word)) total += 1;
      else return 0;
    }
    return total + 1 / (1 + text.length);
  };

  const showResults = (input, list) => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren();
    active = -1;
    input.removeAttribute("aria-activedescendant");
    const open = words.length > 0 && entries !== null;
    list.hidden = !open;
    input.setAttribute("aria-expanded", String(open));
    if (!open) return;
    const found = entries
      .map((entry) => [score(entry, words), entry])
      .filter(([points]) => points > 0)
      .sort((left, right) => right[0] - left[0])
      .slice(0, 30);
    found.forEach(([, entry], index) => {
      list.append(
        crt.el(
          "a",
          { role: "option", id: `found-${index}`, href: crt.href(entry.href), tabindex: "-1", "aria-selected": "false" },
          crt.el("span", { class: "found-text" }, entry.text.length > 160 ? `${entry.text.slice(0, 159)}…` : entry.text),
          crt.el("span", { class: "found-more" }, [entry.kind, entry.more].filter(Boolean).join(" · ")),
        ),
      );
    });
    if (!found.length) list.append(crt.el("p", { class: "found-none" }, "Nothing has this name."));
  };

  const moveTo = (input, list, index) => {
    const options = [...list.querySelectorAll("[role=option]")];
    if (!options.length) return;
    active = (index + options.length) % options.length;
    options.forEach((option, place) => option.setAttribute("aria-selected", String(place === active)));
    options[active].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", options[active].id);
  };

  const search = () => {
    const input = document.getElementById("search");
    const list = document.getElementById("found");
    if (!input) return;
    const start = async () => {
      if (entries !== null) return;
      try {
        entries = (await crt.load("search")).entries;
      } catch (error) {
        entries = [];
        input.title = error.message;
      }
      showResults(input, list);
    };
    input.addEventListener("focus", start);
    input.addEventListener("input", () => showResults(input, list));
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") moveTo(input, list, active + 1);
      else if (event.key === "ArrowUp") moveTo(input, list, active - 1);
      else if (event.key === "Enter") {
        const options = list.querySelectorAll("[role=option]");
        const chosen = options[Math.max(active, 0)];
        if (chosen) chosen.click();
      } else if (event.key === "Escape") {
        input.value = "";
        showResults(input, list);
        input.blur();
      } else return;
      event.preventDefault();
    });
    list.addEventListener("click", () => setTimeout(() => showResults(Object.assign(input, { value: "" }), list)));
    document.addEventListener("click", (event) => {
      if (!event.target.closest(".search")) list.hidden = true;
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest && event.target.closest("input, select, textarea, [contenteditable]");
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        input.focus();
      }
    });
  };

  // --- pages ----------------------------------------------------------------------------------------------------------

  const pages = new Map();

  /** Say what to do on pages of a kind: `init` gets their main element. */
  crt.page = (name, init) => {
    pages.set(name, init);
    if (document.readyState !== "loading" && !single && begun) begin();
  };

  /** A polite word where something could not be shown. */
  crt.complain = (where, error) => {
    where.append(crt.el("p", { class: "complaint", role: "alert" }, error.message || String(error)));
  };

  let begun = false;
  const begin = () => {
    const main = document.querySelector("main");
    const init = main && pages.get(main.dataset.page);
    if (!main || main.dataset.begun) return;
    describeTimes(main);
    crt.table(main);
    begun = true;
    if (!init) return;
    main.dataset.begun = "yes";
    Promise.resolve()
      .then(() => init(main))
      .catch((error) => crt.complain(main, error));
  };

  /** In the one-file report the page is a part of the address; true where it had to be changed. */
  let shown = null;
  const route = () => {
    const wanted = crt.state.get("page") || "index.html";
    if (wanted === shown) return false;
    const template = [...document.querySelectorAll("template[data-path]")].find((each) => each.dataset.path === wanted);
    const main = document.querySelector("main");
    listeners.clear();
    if (!template) {
      shown = wanted;
      main.replaceWith(crt.el("main", { id: "main", tabindex: "-1" }, crt.el("p", { class: "complaint" }, `This report has no page ${wanted}.`)));
      return true;
    }
    const page = template.content.cloneNode(true).querySelector("main");
    shown = wanted;
    main.replaceWith(page);
    document.title = template.dataset.title || document.title;
    for (const link of page.querySelectorAll("a[href]")) link.setAttribute("href", inside(link.getAttribute("href"), wanted));
    window.scrollTo(0, 0);
    syncMetric();
    begin();
    return true;
  };

  /** The address within this file of a link that a page in a folder would have. */
  const inside = (href, from) => {
    if (/^[a-z][a-z0-9+.-]*:|^\/\//i.test(href)) return href;
    if (href.startsWith("#")) return /=/.test(href) ? `#page=${encodeURIComponent(from)}&${href.slice(1)}` : href;
    const parts = from.split("/").slice(0, -1);
    const [path, state] = href.split("#");
    for (const part of path.split("/")) {
      if (part === "..") parts.pop();
      else if (part && part !== ".") parts.push(part);
    }
    return crt.href(parts.join("/") + (state ? `#${state}` : ""));
  };

  /** Where `crt report --serve` shows the page, show it anew when it was built anew. */
  const reloadWhenServed = async () => {
    if (location.hostname !== "127.0.0.1") return;
    let first = null;
    const ask = async () => {
      const answer = await fetch("/.version").catch(() => null);
      if (!answer || !answer.ok) return;
      const version = await answer.text();
      if (first === null) first = version;
      else if (version !== first) location.reload();
      setTimeout(ask, 1500);
    };
    ask();
  };

  const ready = () => {
    const list = document.getElementById("metrics");
    metrics = list ? JSON.parse(list.textContent) : [];
    setTheme(html.dataset.theme);
    document.getElementById("theme")?.addEventListener("click", () => {
      const next = THEMES[(THEMES.indexOf(html.dataset.theme) + 1) % THEMES.length];
      memory.set("crt.theme", next);
      setTheme(next);
    });
    const select = document.getElementById("metric");
    if (select) {
      select.value = crt.metric();
      select.addEventListener("change", () => {
        memory.set("crt.metric", select.value);
        crt.state.set({ metric: select.value });
        document.dispatchEvent(new CustomEvent("crt:metric"));
      });
    }
    const menu = document.getElementById("menu");
    menu?.addEventListener("click", () => {
      const open = menu.getAttribute("aria-expanded") !== "true";
      menu.setAttribute("aria-expanded", String(open));
      document.getElementById("nav").classList.toggle("open", open);
    });
    search();
    reloadWhenServed();
    if (single) {
      for (const link of document.querySelectorAll("header a[href], footer a[href]")) {
        link.setAttribute("href", inside(link.getAttribute("href"), "index.html"));
      }
      route();
    } else begin();
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
})();
