// Sums written out, with the library's numbers: what was multiplied with what, and what came of it.
import { element, shown } from "../dom.js";

const LONGEST = 27; // as many as a window of the post's three channels has

const signed = (value) => (value < 0 || Object.is(value, -0) ? `(${shown(value)})` : shown(value));

export const product = (left, right) => `${shown(left)}·${signed(right)}`;

/** A line "name = a + b + … = total"; `terms` is text. */
export function line(name, terms, total) {
  const listed = terms.length > LONGEST ? [...terms.slice(0, LONGEST), `… ${terms.length - LONGEST} more`] : terms;
  return element("div", {}, `${name}${listed.join(" + ") || "0"} = `, element("strong", {}, shown(total)));
}

/** The outputs of one place: a line for each filter. */
export function outputs({ columns, matrix, product: found }, bias, place, name = (k) => (bias.length > 1 ? `filter ${k + 1}: ` : "")) {
  return bias.map((b, k) => line(name(k), [...columns[place].map((value, tap) => product(value, matrix[tap][k])), signed(b)], found[place][k]));
}

const TIMES = ["", "once", "twice", "three times", "four times", "five times", "six times", "seven times", "eight times", "nine times"];

export const times = (count) => TIMES[count] || `${count} times`;

/** The library's size formula as people write it; `text` is "floor(… ) + 1 = rows by floor(…) + 1 = columns". */
export function sizes(text) {
  const pretty = (part) => part.replace(/floor\((.*)\)( \+ 1 = .*)/, "⌊$1⌋$2").replaceAll("*", "·").replaceAll("-", "−");
  const [rows, columns] = text.split(" by ").map(pretty);
  return columns === undefined ? [["size", rows]] : [["rows", rows], ["columns", columns]];
}
