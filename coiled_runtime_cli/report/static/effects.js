/* The charts of the compare page: effects with their intervals, and how sure each size of effect is. */
"use strict";

(function () {
  const plain = (text, longest) => crt.runs.plain(text, longest);
  const change = (ratio) => crt.ratio(ratio);

  const VERDICTS = ["worse", "better", "same", "inconclusive", "few"];
  const COLOURS = { worse: "regression", better: "improvement", same: "muted", inconclusive: "muted", few: "muted" };
  const SYMBOLS = {
    worse: "triangle-right",
    better: "triangle-left",
    same: "circle",
    inconclusive: "circle-open",
    few: "x-thin-open",
  };

  /* What a test is called beside a chart. */
  function names(tests, place) {
    const longest = place.clientWidth < 600 ? 20 : 44;
    return tests.map((each) => plain(each.more ? `${each.name} · ${each.more}` : each.name, longest));
  }

  function hover(test, metric) {
    const { comparison } = test;
    return [
      `<b>${plain(test.name, 80)}</b>`,
      test.more ? plain(test.more, 80) : "",
      `${change(comparison.ratio)} (${change(comparison.low)} to ${change(comparison.high)})`,
      `A ${plain(crt.format(comparison.before, metric.key))}, B ${plain(crt.format(comparison.after, metric.key))}`,
      `${comparison.n[0]} and ${comparison.n[1]} runs`,
    ]
      .filter(Boolean)
      .join("<br>");
  }

  function forest(tests, place, { words, metric, smallest, page }) {
    const rows = new Map(tests.map((each, index) => [each, index]));
    const bounds = tests.flatMap((each) => [each.comparison.low, each.comparison.high]).map(Math.log);
    const far = Math.min(Math.max(...bounds.map(Math.abs), Math.log(1 + smallest)), Math.log(20)) * 1.08;
    const { ticks, texts } = scale(far, place.clientWidth < 600 ? 5 : 9);
    const verdicts = VERDICTS.map((verdict) => {
      const mine = tests.filter((each) => each.comparison.verdict === verdict);
      return {
        name: words[verdict],
        ratio: mine.map((each) => each.comparison.ratio),
        row: mine.map((each) => rows.get(each)),
        above: mine.map((each) => each.comparison.high - each.comparison.ratio),
        below: mine.map((each) => each.comparison.ratio - each.comparison.low),
        hover: mine.map((each) => hover(each, metric)),
        href: mine.map((each) => each.benchmark.href),
        colour: COLOURS[verdict],
        symbol: SYMBOLS[verdict],
      };
    }).filter((each) => each.row.length);
    const figure = crt.runs.fill(page.figures.forest, {
      verdicts,
      row: tests.map((_, index) => index),
      names: names(tests, place),
      rows_range: [tests.length - 0.4, -0.6],
      range: [-far / Math.LN10, far / Math.LN10],
      ticks,
      tick_texts: texts,
      axis: `← ${words.less}   ${words.more} →`,
      same_low: 1 - smallest,
      same_high: 1 + smallest,
      height: 100 + 20 * tests.length,
      metric: metric.key,
    });
    return crt.draw(place, figure).then(() => {
      if (place.dataset.leads) return;
      place.dataset.leads = "yes";
      place.on("plotly_click", ({ points }) => {
        if (points[0].customdata) location.assign(crt.href(points[0].customdata));
      });
    });
  }

  function confidence(tests, place, { words, metric, page }) {
    const narrow = place.clientWidth < 600;
    const room = (each) => !narrow || [0, 10, 20, 40, 80].includes(Math.abs(each));
    const columns = [-1, 1].flatMap((side) =>
      page.thresholds
        .filter((each) => each * side >= 0 && room(each))
        .map((each) => ({ side, threshold: Math.abs(each) })),
    );
    const named = narrow ? [20, 80] : [20, 40, 60, 80];
    const marked = Array.from(columns.keys()).filter((index) => named.includes(columns[index].threshold));
    const middle = columns.length / 2 - 0.5;
    const worse = metric.better === "higher" ? -1 : 1;
    const signed = tests.map((each) =>
      columns.map(({ side, threshold }) => side * worse * crt.stats.confidenceBeyond(each.comparison, side, threshold / 100)),
    );
    const hover = tests.map((each, row) =>
      columns.map(({ side, threshold }, column) => {
        const word = side > 0 ? words.more : words.less;
        const much = threshold ? `more than ${threshold} % ${word}` : word;
        return `<b>${plain(each.name, 80)}</b><br>${percent(Math.abs(signed[row][column]))} sure: ${much}`;
      }),
    );
    const figure = crt.runs.fill(page.figures.confidence, {
      columns: columns.map((_, index) => index),
      row: tests.map((_, index) => index),
      signed,
      shown: signed.map((row) => row.map((each) => (Math.abs(each) < 0.8 ? "" : String(Math.min(99, Math.floor(Math.abs(each) * 100)))))),
      hover,
      names: names(tests, place),
      rows_range: [tests.length - 0.5, -0.5],
      ticks: [...marked, middle],
      tick_texts: [
        ...marked.map((index) => `${columns[index].side > 0 ? "+" : "-"}${columns[index].threshold}${narrow ? "" : " %"}`),
        "0",
      ],
      height: 70 + 22 * tests.length,
      metric: metric.key,
    });
    return crt.draw(place, figure);
  }

  /* Round changes for a logarithmic axis of ratios that reaches exp(far) on either side, as many as have room. */
  function scale(far, most) {
    const gap = (2 * far) / most;
    const ticks = [1];
    for (const side of [[0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5, 0.2, 0.1], [1.01, 1.02, 1.05, 1.1, 1.2, 1.5, 2, 5, 10]]) {
      const fits = side.filter((each) => Math.abs(Math.log(each)) <= far);
      let last = Infinity;
      for (const each of fits.reverse()) {
        const place = Math.abs(Math.log(each));
        if (last - place >= gap && place >= gap) {
          ticks.push(each);
          last = place;
        }
      }
    }
    ticks.sort((one, other) => one - other);
    return { ticks, texts: ticks.map((each) => (each === 1 ? "same" : change(each).replace(/\.0(?= %|$)/, ""))) };
  }

  /* An interval as a bar between two times less and two times more, or whatever `far` says. */
  function range({ ratio, low, high, verdict }, far, smallest) {
    const place = (value) => 60 + 55 * Math.max(-1, Math.min(1, Math.log(value) / far));
    const parts = [
      crt.el("rect", { x: place(1 - smallest), y: 0, width: place(1 + smallest) - place(1 - smallest), height: 16, class: "range-same" }),
      crt.el("line", { x1: 60, x2: 60, y1: 0, y2: 16, class: "range-zero" }),
    ];
    if (low !== null) {
      parts.push(crt.el("line", { x1: place(low), x2: Math.max(place(high), place(low) + 1), y1: 8, y2: 8, class: "range-bar" }));
    }
    parts.push(crt.el("circle", { cx: place(ratio), cy: 8, r: 3.5, class: "range-dot" }));
    return crt.el("svg", { viewBox: "0 0 120 16", class: `range verdict-${verdict}`, "aria-hidden": "true" }, ...parts);
  }

  function percent(part) {
    const value = part * 100;
    if (value > 99.9 && value < 100) return "> 99.9 %";
    return `${value < 9.95 || value > 99 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)} %`;
  }

  crt.effects = { VERDICTS, forest, confidence, range, percent };
})();
