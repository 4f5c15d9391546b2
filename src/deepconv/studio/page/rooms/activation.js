// What made one activation, written out with its numbers. All of them come from the library's `unit`.
import { askLatest, superseded } from "../api.js";
import { element, shown } from "../dom.js";

const FEW = 6; // sums that are written out in a line

/** A number as precise as one needs to recompute what is made of it. */
const exact = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))).replace("-", "−") : String(value));
/** The same behind a sign or a dot. */
const factor = (value) => (value < 0 ? `(${exact(value)})` : exact(value));
const plus = (value) => (value < 0 ? ` − ${exact(-value)}` : ` + ${exact(value)}`);
const from = (source) => (/^x\d*$/.test(source) ? "the input" : `layer ${source}`);

export function activation(refuse) {
  const headline = element("p", { role: "status" });
  const parts = element("div", {});
  const box = element("section", { class: "detail", "aria-label": "what made an activation" }, headline, parts);
  let place = null; // what is shown: {layer, channel, row, column, first}

  function close() {
    place = null;
    box.remove();
  }

  async function ask(next) {
    try {
      const found = await askLatest("network", "unit", next);
      if (found === superseded || next !== place) return;
      write(found);
    } catch (error) {
      close();
      refuse(error);
    }
  }

  function write(found) {
    const span = ([start, end]) => `${start}–${end - 1}`;
    const seen = found.window ? `; it sees rows ${span(found.window[0])}, columns ${span(found.window[1])} of the input` : "";
    const where = found.place.length === 3 ? `map ${found.place[0] + 1}, row ${found.place[1]}, column ${found.place[2]}` : `number ${place.channel + 1}`;
    headline.replaceChildren(element("strong", {}, `layer ${found.layer}, ${where}: ${shown(found.value)}`), seen, " ",
      element("button", { onclick: close }, "Close"));
    const page = (first) => { place = { ...place, first }; ask(place); };
    const top = parts.querySelector(".kin")?.scrollTop ?? 0;
    parts.replaceChildren(...(EXPLAIN[found.made.kind] ?? EXPLAIN.other)(found.made, found.value, page));
    parts.querySelector(".kin")?.scrollTo(0, top); // new numbers, the same place
  }

  return {
    close,
    again: () => place && ask(place),
    show: (next, beside) => {
      place = next;
      headline.replaceChildren();
      parts.replaceChildren();
      beside.after(box);
      ask(place);
    },
  };
}

const sum = (...text) => element("p", { class: "sum" }, ...text);

function grid(label, rows, kind, { outside = null, winner = null } = {}) {
  return element("table", { class: "numbers small", "aria-label": label }, element("tbody", {}, ...rows.map((row, i) => element("tr", {}, ...row.map((value, j) => {
    const lit = winner && winner[0] === i && winner[1] === j ? " lit" : "";
    return element("td", { class: `${outside?.[i][j] ? "padding" : kind}${lit}` }, shown(value));
  })))));
}

function conv({ maps: [start, end], first, per, windows, weights, outside, sums, bias, source }, value, page) {
  const last = first + windows.length;
  const written = sums.length <= FEW ? sums.map((one, index) => (index ? plus(one) : exact(one))).join("") : `the ${sums.length} sums below`;
  const pages = sums.length > per ? [element("div", { class: "buttons" },
    element("button", { disabled: !first, onclick: () => page(first - per) }, "Earlier maps"),
    element("button", { disabled: last >= sums.length, onclick: () => page(last) }, "Later maps"),
    `maps ${start + first + 1} to ${start + last} of ${start + 1} to ${end}`)] : [];
  return [
    sum(`On each of ${sums.length === 1 ? "1 map" : `${sums.length} maps`} of ${from(source)}: window times weights, cell by cell, summed. In all: ${written}`,
      bias === null ? "" : `${plus(bias)} (bias)`, ` = ${exact(value)}`),
    ...pages,
    element("div", { class: "kin", tabindex: 0, role: "group", "aria-label": "the windows and weights of the maps before" },
      ...windows.map((rows, index) => {
        const number = start + first + index + 1;
        return element("figure", {}, element("figcaption", {}, `map ${number}: `, element("b", {}, exact(sums[first + index]))),
          grid(`window on map ${number}`, rows, "input", { outside }), element("span", {}, "·"), grid(`weights for map ${number}`, weights[index], "weights"));
      })),
  ];
}

const cells = ({ window: rows, outside, winner }) =>
  (rows ? [element("div", { class: "scroll", tabindex: 0 }, grid("the window", rows, "input", { outside, winner }))] : []);

function linear({ terms, count, rest, bias, source }, value) {
  const line = (kind, ...texts) => element("tr", {}, ...texts.map((text) => element(kind, {}, text)));
  const others = count - terms.length;
  return [
    sum(`The ${terms.length} largest of ${count} terms of ${from(source)} are below`, others ? `; the other ${others} come to ${exact(rest)} together` : "",
      bias === null ? "" : `; the bias is ${exact(bias)}`, `. In all: ${exact(value)}`),
    element("div", { class: "scroll terms", tabindex: 0 }, element("table", { class: "numbers small", "aria-label": "the largest terms" },
      element("thead", {}, line("th", "number", "input", "weight", "product")),
      element("tbody", {}, ...terms.map(([index, x, weight, product]) => line("td", index + 1, exact(x), exact(weight), exact(product)))))),
  ];
}

const FORMULAS = { // of activations; the others are named
  ReLU: (x) => `max(0, ${x})`,
  ReLU6: (x) => `min(6, max(0, ${x}))`,
};

const EXPLAIN = {
  conv,
  linear,
  max: (made, value) => [sum(`The greatest number of its window on the same map of ${from(made.source)}: ${exact(value)}`), ...cells(made)],
  mean: (made, value) => [sum(`The mean of ${made.count} numbers on the same map of ${from(made.source)}: ${exact(made.sum)} / ${made.count} = ${exact(value)}`), ...cells(made)],
  norm: ({ x, mean, var: spread, eps, weight, bias, source }, value) => [
    sum("(x − mean) / √(var + eps) · γ + β = ",
      `(${exact(x)} − ${factor(mean)}) / √(${exact(spread)} + ${exact(eps)}) · ${factor(weight)}${plus(bias)} = ${exact(value)}`),
    sum(`x comes from the same place of ${from(source)}; the map’s mean and variance are the ones that training left.`)],
  activation: ({ x, layer, source }, value) => [
    sum(`${(FORMULAS[layer] ?? ((number) => `${layer}(${number})`))(exact(x))} = ${exact(value)}, of the same place of ${from(source)}`)],
  softmax: ({ x, most, sum: whole, count, source }, value) => [
    sum(`exp(${exact(x)} − ${factor(most)}) / ${exact(whole)} = ${exact(value)}; the divisor is the sum of the same over all ${count} numbers of ${from(source)}`)],
  same: ({ source }) => [sum(`The same number of ${from(source)}: dropout drops numbers in training alone.`)],
  moved: ({ place, source }) => [sum(place.length === 3
    ? `The number of ${from(source)} on map ${place[0] + 1}, row ${place[1]}, column ${place[2]}, unchanged.`
    : `Number ${place.at(-1) + 1} of ${from(source)}, unchanged.`)],
  summands: ({ summands }, value) => [
    sum(summands.map(([, x], index) => (index ? plus(x) : exact(x))).join(""), ` = ${exact(value)}, from the same place of ${summands.map(([source]) => from(source)).join(" and ")}`)],
  other: ({ layer }) => [sum(layer ? `How ${layer} makes a number is not written out here.` : "It is taken as it is.")],
};
