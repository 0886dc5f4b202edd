/* The two selection boxes of the compare page: what can be chosen, and what a choice means. */
"use strict";

(function () {
  const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

  /* `choose` is told the arm and the selection that a person made. */
  crt.Arms = class {
    constructor(main, known, choose) {
      this.main = main;
      this.known = known;
      this.choose = choose;
      this.boxes = { a: this.box("a"), b: this.box("b") };
    }

    /* One selection box: kind, value, what it means. */
    box(arm) {
      const place = this.main.querySelector(`[data-arm=${arm}]`);
      const found = {};
      for (const part of ["kind", "value", "from", "to", "says", "list"]) {
        found[part] = place.querySelector(`[data-part=${part}]`);
      }
      for (const [kind, text] of Object.entries(crt.runs.KINDS)) {
        found.kind.append(crt.el("option", { value: kind }, text));
      }
      found.kind.addEventListener("change", () => {
        const kind = found.kind.value;
        const first = crt.runs.suggestions(this.known, kind)[arm === "b" ? 0 : 1];
        const only = crt.runs.suggestions(this.known, kind)[0];
        if (kind === "dates") return this.choose(arm, `dates:${this.month(arm)}`);
        return this.choose(arm, `${kind}:${(first || only || { value: "" }).value}`);
      });
      found.value.addEventListener("change", () => this.choose(arm, `${found.kind.value}:${found.value.value.trim()}`));
      for (const each of [found.from, found.to]) {
        each.addEventListener("change", () => this.choose(arm, `dates:${found.from.value}..${found.to.value}`));
      }
      return found;
    }

    /* The last 30 days of the history for B, the 30 before them for A. */
    month(arm) {
      const last = (this.known.last || 0) - (arm === "a" ? 30 : 0) * 86400000;
      return `${crt.date(last - 29 * 86400000, false)}..${crt.date(last, false)}`;
    }

    show(arm, selection) {
      const box = this.boxes[arm];
      const kind = selection.kind || "label";
      const dates = kind === "dates";
      box.kind.value = kind;
      box.value.parentElement.hidden = dates;
      box.from.parentElement.hidden = !dates;
      if (dates) [box.from.value, box.to.value] = selection.value.split("..").concat("").slice(0, 2);
      else if (document.activeElement !== box.value || box.value.value === "") box.value.value = selection.value;
      if (box.offered !== kind) {
        box.offered = kind;
        box.list.replaceChildren(
          ...crt.runs
            .suggestions(this.known, kind)
            .map((each) => crt.el("option", { value: each.value }, each.text)),
        );
      }
      box.says.replaceChildren(...this.describe(arm, selection));
    }

    describe(arm, selection) {
      const { sessions } = this.known;
      if (!selection.sessions.length) {
        const first = selection.kind === "before" && !selection.nearest;
        const chosen = selection.value !== "" || selection.kind === "label";
        const none = !chosen ? "Nothing chosen." : first ? "There is none before it." : "No session fits.";
        if (!selection.nearest) return [none];
        const offer = crt.el("button", { type: "button", class: "link" }, selection.nearest);
        offer.addEventListener("click", () => this.choose(arm, selection.nearest));
        return [`${none} Did you mean `, offer, "?"];
      }
      const first = crt.date(sessions.started[selection.sessions[selection.sessions.length - 1]], false);
      const last = crt.date(sessions.started[selection.sessions[0]], false);
      const said = [
        plural(selection.sessions.length, "session"),
        plural(selection.runs, "run"),
        first === last ? last : `${first} to ${last}`,
      ].join(" · ");
      if (selection.total <= selection.sessions.length) return [said];
      return [`The newest ${said}; ${(selection.total - selection.sessions.length).toLocaleString("en")} older are left out.`];
    }
  };
})();
