// Sums written out, with the library's numbers: what was multiplied with what, and what came of it.
import { element, shown } from "../dom.js";

const LONGEST = 36; // a window of the post's three channels has 28 terms with the bias, and more fill the screen

const signed = (value) => (value < 0 || Object.is(value, -0) ? `(${shown(value)})` : shown(value));

export const product = (left, right) => `${shown(left)}·${signed(right)}`;

/** A line "name = a + b + … = total"; `terms` is text. Of too many, the last is shown still: it is the bias. */
export function line(name, terms, total) {
  const listed = terms.length > LONGEST ? [...terms.slice(0, LONGEST - 1), `… ${terms.length - LONGEST} more …`, terms.at(-1)] : terms;
  return element("div", {}, `${name}${listed.join(" + ") || "0"} = `, element("strong", {}, shown(total)));
}

/** The outputs of one place: a line for each filter, or for one. */
export function outputs({ columns, matrix, product: found }, bias, { place, filter }, name = (k) => (bias.length > 1 ? `filter ${k + 1}: ` : "")) {
  return bias.flatMap((b, k) => (filter === undefined || filter === k
    ? [line(name(k), [...columns[place].map((value, tap) => product(value, matrix[tap][k])), signed(b)], found[place][k])] : []));
}

/** An output of a transposed convolution: what each stamp that covers it puts there, and the bias. */
export function stamped({ cells, stamps, matrix, padded }, image, bias, pixel) {
  const [rows, columns] = [padded[0].length, padded[0][0].length];
  const [k, i, j] = [Math.floor(pixel / (rows * columns)), Math.floor(pixel / columns) % rows, pixel % columns];
  const shares = cells.flatMap((row, place) => row.flatMap((cell, tap) => (cell !== pixel ? []
    : [image.length === 1 ? product(image[0].flat()[place], matrix[0][tap]) : signed(stamps[place][tap])])));
  return line("", [...shares, signed(bias[k])], padded[k][i][j]);
}

const TIMES = ["", "once", "twice", "three times", "four times", "five times", "six times", "seven times", "eight times", "nine times"];

export const times = (count) => TIMES[count] || `${count} times`;

/** The library's size formula as people write it, as rows of a `dl`; `text` is "… = rows by … = columns". */
export function sizes(text) {
  const pretty = (part) => part.replace(/floor\((.*)\)( \+ 1 = .*)/, "⌊$1⌋$2").replaceAll("*", "·").replaceAll("-", "−");
  const [rows, columns] = text.split(" by ").map(pretty);
  return [["rows", rows], ["columns", columns]].flatMap(([name, size]) => [element("dt", {}, name), element("dd", {}, size)]);
}
