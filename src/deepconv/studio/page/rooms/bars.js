// The probabilities as bars.
import { element } from "../dom.js";

const MOST = 10;

/** `named` is [[class, probability], …], the likeliest first. A few classes keep the network's own order, so that no bar
    moves while one draws; of many the likeliest are shown. */
export function bars(named, classes) {
  const top = named[0]?.[0];
  const some = classes.length > MOST ? named.slice(0, MOST)
    : named.toSorted((one, other) => classes.indexOf(one[0]) - classes.indexOf(other[0]));
  return element("div", { class: "shares" }, ...some.flatMap(([name, share]) => {
    const kind = name === top ? "top" : null;
    return [
      element("span", { class: kind }, name),
      element("meter", { min: 0, max: 1, value: share, "aria-label": `probability of ${name}` }),
      element("span", { class: kind ? "share top" : "share" }, `${(100 * share).toFixed(1)} %`)];
  }));
}
