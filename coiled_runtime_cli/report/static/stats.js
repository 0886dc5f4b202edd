/* Statistics for the pages that compare in the browser: the formulas of core/stats.py and core/compare.py.
   No document is needed: tests run this file against the Python that it mirrors. */
"use strict";

(function (root) {
  const crt = (root.crt = root.crt || {});

  /* Lanczos' approximation with g = 7, to about 1e-15 relative, for x > 0 (Numerical Recipes 6.1). */
  const LANCZOS = [
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
  ];

  function logGamma(x) {
    if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
    const y = x - 1;
    let sum = LANCZOS[0];
    for (let i = 1; i < LANCZOS.length; i++) sum += LANCZOS[i] / (y + i);
    const t = y + 7.5;
    return 0.5 * Math.log(2 * Math.PI) + (y + 0.5) * Math.log(t) - t + Math.log(sum);
  }

  const awayFromZero = (value) => (Math.abs(value) > 1e-300 ? value : 1e-300);

  /* The regularised incomplete beta function by its continued fraction (DLMF 8.17.22), modified Lentz method. */
  function incompleteBeta(x, a, b) {
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
    const front =
      Math.exp(a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a) - logGamma(b)) / a;
    let c = 1;
    let d = 1 / awayFromZero(1 - ((a + b) * x) / (a + 1));
    let fraction = d;
    for (let m = 1; m < 500; m++) {
      let step = 1;
      for (const numerator of [
        (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
        (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
      ]) {
        d = 1 / awayFromZero(1 + numerator * d);
        c = awayFromZero(1 + numerator / c);
        step = c * d;
        fraction *= step;
      }
      if (Math.abs(step - 1) < 1e-15) break;
    }
    return front * fraction;
  }

  /* P(T <= t) for Student's t. */
  function studentCdf(t, df) {
    if (!Number.isFinite(t)) return t > 0 ? 1 : 0;
    const part = (t * t) / (df + t * t);
    if (part < 0.5) {
      const half = 0.5 * incompleteBeta(part, 0.5, df / 2);
      return t > 0 ? 0.5 + half : 0.5 - half;
    }
    const tail = 0.5 * incompleteBeta(df / (df + t * t), df / 2, 0.5);
    return t > 0 ? 1 - tail : tail;
  }

  /* The t with P(T <= t) = p, 0 < p < 1. */
  function studentQuantile(p, df) {
    if (p < 0.5) return -studentQuantile(1 - p, df);
    let low = 0;
    let high = 1;
    while (studentCdf(high, df) < p) high *= 2;
    for (let i = 0; i < 200 && high - low > 1e-12 * Math.max(1, high); i++) {
      const middle = (low + high) / 2;
      if (studentCdf(middle, df) < p) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  }

  /* The quantile q of sorted values, between neighbours in proportion. */
  function quantile(sorted, q) {
    const place = (sorted.length - 1) * q;
    const below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
  }

  /* Median with its distribution-free 95 % interval by order statistics: null where six values or more are not there. */
  function medianInterval(values) {
    const sorted = Float64Array.from(values).sort();
    const n = sorted.length;
    let below = 0;
    let tail = 0;
    for (let k = 0; k < n / 2; k++) {
      tail += Math.exp(logChoose(n, k) - n * Math.LN2);
      if (2 * tail > 0.05) break;
      below = k + 1;
    }
    return {
      n,
      median: n ? quantile(sorted, 0.5) : NaN,
      low: below ? sorted[below - 1] : null,
      high: below ? sorted[n - below] : null,
      min: n ? sorted[0] : NaN,
      max: n ? sorted[n - 1] : NaN,
      mean: n ? sum(sorted) / n : NaN,
    };
  }

  function sum(values) {
    let total = 0;
    let lost = 0; // what rounding took so far (Neumaier)
    for (const value of values) {
      const next = total + value;
      lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
      total = next;
    }
    return total + lost;
  }

  function logs(values) {
    return Array.from(values)
      .filter((each) => Number.isFinite(each) && each > 0)
      .map(Math.log);
  }

  function moments(values) {
    const mean = sum(values) / values.length;
    return { mean, variance: values.length < 2 ? NaN : sum(values.map((each) => (each - mean) ** 2)) / (values.length - 1) };
  }

  /* Geometric means of two sets of values, their ratio, and Welch's interval on logarithms (Welch 1947, Satterthwaite). */
  function comparison(baseline, contender) {
    const a = logs(baseline);
    const b = logs(contender);
    const found = {
      n: [a.length, b.length], ratio: null, low: null, high: null, before: null, after: null, error: null, df: null,
      p: null, q: null, detectable: null, verdict: "few",
    };
    if (!a.length || !b.length) return found;
    const one = moments(a);
    const other = moments(b);
    Object.assign(found, { before: Math.exp(one.mean), after: Math.exp(other.mean), ratio: Math.exp(other.mean - one.mean) });
    if (a.length < 2 || b.length < 2) return found;
    const parts = [one.variance / a.length, other.variance / b.length];
    const spread = parts[0] ** 2 / (a.length - 1) + parts[1] ** 2 / (b.length - 1);
    found.error = Math.sqrt(parts[0] + parts[1]);
    found.df = spread > 0 ? (parts[0] + parts[1]) ** 2 / spread : a.length + b.length - 2;
    const quantile = studentQuantile(0.975, found.df);
    const half = quantile * found.error;
    found.low = Math.exp(other.mean - one.mean - half);
    found.high = Math.exp(other.mean - one.mean + half);
    found.p = twoSided(other.mean - one.mean, found.error, found.df);
    found.detectable = Math.expm1((quantile + studentQuantile(0.8, found.df)) * found.error);
    return found;
  }

  function twoSided(difference, error, df) {
    if (error === 0) return difference === 0 ? 1 : 0;
    return 2 * studentCdf(-Math.abs(difference) / error, df);
  }

  /* How sure it is that the ratio lies beyond 1 + side * threshold; side is 1 or -1. */
  function confidenceBeyond({ ratio, error, df }, side, threshold) {
    if (error === null) return 0;
    const signed = side * (Math.log(ratio) - Math.log1p(side * threshold));
    if (error === 0) return signed > 0 ? 1 : 0;
    return studentCdf(signed / error, df);
  }

  /* Benjamini and Hochberg's adjusted p values; null stays null. */
  function adjusted(p) {
    const known = Array.from(p.keys()).filter((each) => p[each] !== null).sort((one, other) => p[other] - p[one]);
    const q = p.map(() => null);
    let least = 1;
    known.forEach((index, place) => {
      least = Math.min(least, (p[index] * known.length) / (known.length - place));
      q[index] = least;
    });
    return q;
  }

  /* Give each comparison of a family its adjusted p and its verdict. */
  function judge(comparisons, { smallest = 0.05, better = "lower", rate = 0.05 } = {}) {
    const q = adjusted(comparisons.map((each) => each.p));
    comparisons.forEach((each, index) => {
      each.q = q[index];
      if (each.low === null) each.verdict = "few";
      else if (each.low > 1 - smallest && each.high < 1 + smallest) each.verdict = "same";
      else if (each.q <= rate) each.verdict = each.ratio > 1 === (better !== "higher") ? "worse" : "better";
      else each.verdict = "inconclusive";
    });
  }

  /* The geometric mean of many ratios, with Student's interval over tests; with none where no test has one of its own. */
  function overall(comparisons) {
    const values = logs(comparisons.map((each) => each.ratio).filter((each) => each !== null));
    if (!values.length) return { ratio: null, low: null, high: null, n: 0 };
    const { mean, variance } = moments(values);
    const n = values.length;
    if (n < 2 || comparisons.every((each) => each.low === null)) return { ratio: Math.exp(mean), low: null, high: null, n };
    const half = studentQuantile(0.975, n - 1) * Math.sqrt(variance / n);
    return { ratio: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half), n };
  }

  /* What failed where: "broken" in the contender only, "mended" in the baseline only, "both"; null where nothing did, or one arm
     did not run. p: Fisher's exact test, two-sided: how often chance alone parts as many failures so unevenly. */
  function failures(baseline, contender) {
    const failed = baseline.failed + contender.failed;
    if (!failed || !baseline.runs || !contender.runs) return null;
    const finding = !baseline.failed ? "broken" : !contender.failed ? "mended" : "both";
    const ways = (share) => logChoose(baseline.runs, failed - share) + logChoose(contender.runs, share);
    const all = logChoose(baseline.runs + contender.runs, failed);
    const seen = ways(contender.failed);
    let p = 0;
    for (let share = Math.max(0, failed - baseline.runs); share <= Math.min(failed, contender.runs); share++) {
      if (ways(share) <= seen + 1e-9) p += Math.exp(ways(share) - all); // as likely, but for rounding
    }
    return { finding, p: Math.min(1, p) };
  }

  function logChoose(n, k) {
    return logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1);
  }

  crt.stats = {
    comparison,
    failures,
    confidenceBeyond,
    adjusted,
    judge,
    overall,
    logGamma,
    incompleteBeta,
    studentCdf,
    studentQuantile,
    quantile,
    medianInterval,
    sum,
  };
})(typeof globalThis === "undefined" ? window : globalThis);
