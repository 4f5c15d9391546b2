// The sum behind one pixel, and frames that show where it stands.
import { element, shown } from "../dom.js";

/** The numbers behind a pixel, as the library gave them; `shades` is what the result shows there. */
export function explained({ window: pixels, weights, products, sums: found, kernels: count }, row, column, { shades, divisor, offset }) {
  const names = found.length === 3 ? ["red", "green", "blue"] : ["grey"];
  const table = (caption, values, kind) => element("div", { class: "scroll" }, element("table", { class: "numbers" },
    element("caption", {}, caption), element("tbody", {},
      ...values.map((line) => element("tr", {}, ...line.map((value) => element("td", { class: kind }, shown(value, 2))))))));
  const sign = (text) => element("span", { class: "sign", "aria-hidden": "true" }, text);
  const few = weights.length * weights[0].length <= 81; // of more, the products alone
  const then = [divisor === 1 ? "" : ` / ${shown(divisor)}`, offset ? ` + ${shown(offset)} of the range` : ""].join("");
  const became = (sum, c) => `${shown(sum, 2)}${then}, shown as ${shades[c]}`;
  return [
    element("h3", {}, `row ${row}, column ${column}${count > 1 ? ", the first of its two kernels" : ""}`),
    element("p", {}, found.map((sum, c) => `${names[c]} ${count > 1 ? shown(sum, 2) : became(sum, c)}`).join("; ")),
    ...pixels.map((plane, c) => element("div", { class: "grids" },
      ...(few ? [table(`${names[c]}: pixels`, plane, "input"), sign("×"), table("weights", weights, "weights"), sign("→")] : []),
      table(`${few ? "" : `${names[c]}: `}products, sum ${shown(found[c], 2)}`, products[c], "output"))),
  ];
}

/** Put a frame around rows and columns of a canvas; what lies beyond the edge, or folds over it, is left out. */
export function frame(box, canvas, rows, columns) {
  const span = (list, size) => {
    const inside = list.filter((index) => index >= 0);
    return [100 * Math.min(...inside) / size, 100 * (Math.max(...inside) - Math.min(...inside) + 1) / size];
  };
  const [top, height] = span(rows, canvas.height);
  const [left, width] = span(columns, canvas.width);
  for (const [name, value] of Object.entries({ top, height, left, width })) box.style.setProperty(name, `${value}%`);
  box.classList.add("placed");
}
