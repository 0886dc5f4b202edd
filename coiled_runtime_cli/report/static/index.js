/* The index and the suite pages: lists that are filtered as one types, the filters in the address. */
"use strict";
(() => {
  const filterBy = (form, items, matches) => {
    const fields = [...form.elements].filter((field) => field.name);
    const output = form.querySelector("output");
    const apply = () => {
      const wanted = Object.fromEntries(fields.map((field) => [field.name, field.value]));
      let count = 0;
      for (const item of items) {
        item.hidden = !matches(item, wanted);
        if (!item.hidden) count += 1;
      }
      const all = count === items.length;
      output.textContent = all ? "" : `${count} of ${items.length} shown`;
    };
    const read = () => {
      for (const field of fields) field.value = crt.state.get(field.name) || "";
      apply();
    };
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      crt.state.set(Object.fromEntries(fields.map((field) => [field.name, field.value || null])));
      apply();
    });
    crt.state.on(read);
    read();
  };

  const has = (item, words) => {
    const text = item.textContent.toLowerCase();
    return words
      .toLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word));
  };

  crt.page("index", (main) => {
    const form = main.querySelector("#change-filters");
    if (!form) return;
    filterBy(form, [...main.querySelectorAll(".change")], (item, wanted) =>
      [
        ["kind", wanted.kind],
        ["state", wanted.state],
        ["suite", wanted.suite],
        ["metric", wanted.measure],
      ].every(([name, value]) => !value || item.dataset[name] === value) && has(item, wanted.q),
    );
  });

  crt.page("suite", (main) => {
    const form = main.querySelector("#row-filter");
    filterBy(form, [...main.querySelectorAll("tbody tr")], (item, wanted) => has(item, wanted.q));
  });
})();
