/* The page of a bisection: everything is in the page but the two charts. */
"use strict";

crt.page("bisect", (main) => {
  const figures = JSON.parse(main.querySelector("#page").textContent);
  for (const name of ["values", "posterior"]) {
    const place = main.querySelector(`#${name}`);
    if (place) crt.draw(place, figures[name]);
  }
});
