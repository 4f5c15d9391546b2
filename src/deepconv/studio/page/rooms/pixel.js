// The sum behind one pixel, frames that show where it stands, and pointing at it.
import { element, shown } from "../dom.js";

const WRITTEN = 81; // cells whose pixels and weights are written out; of more, the products alone
const ALPHA = {
  keep: "A pixel weighs as much as it is opaque; what its neighbours lack is taken to be like the pixel itself.",
  filter: "A pixel weighs as much as it is opaque; the sum is divided by the part of the weight that is.",
};

const digits = (value, count) => (typeof value === "number" ? shown(Number(value.toPrecision(count)), 12) : value);
const six = (value) => digits(value, 6); // enough to reckon the products from what is written

/** The numbers behind a pixel, as the library gave them. */
export function explained(answer, row, column, { divisor, offset }) {
  const { size, tables, alpha, values, shown: result } = answer;
  const names = answer.sums[0].length === 3 ? ["red", "green", "blue"] : ["grey"];
  const then = [divisor === 1 ? "" : ` / ${six(divisor)}`, offset ? ` + ${six(offset)} of the range` : ""].join("");
  const line = (name, c) => `${name} ${came(answer, c)}${then}, shown as ${result[c]}`;
  const seen = values === null ? "nothing opaque is seen here: transparent" : names.map(line).join("; ");
  const opacity = alpha && values !== null ? `; opacity ${result[3]} of 255` : "";
  return [
    element("h3", {}, `row ${row}, column ${column}`),
    element("p", {}, `${seen}${opacity}`),
    alpha ? element("p", { class: "explain" }, ALPHA[alpha.rule]) : null,
    tables ? null : element("p", { class: "explain" }, `${size.join(" × ")} products are too many to be written out.`),
    tables && answer.sums.length > 1 ? element("p", { class: "explain" }, "Written out is the first of its two kernels.") : null,
    ...(tables ? names.map((name, c) => products(name, tables, c, six(answer.sums[0][c]))) : []),
  ].filter(Boolean);
}

/** How a colour's sum came to its value, in one line. */
function came({ sums, alpha, parts, values }, c) {
  if (values === null) return "";
  if (sums.length > 1) return `√(${parts.map((part) => `(${six(part[c])})²`).join(" + ")}) = ${six(values[c])}`;
  const sum = six(sums[0][c]);
  if (!alpha) return sum;
  const filled = alpha.rule === "keep" ? ` + ${six(alpha.own[c])} · (${six(alpha.total[0])} − ${six(alpha.seen[0])})`
    : ` · ${six(alpha.total[0])} / ${six(alpha.seen[0])}`;
  return alpha.seen[0] === alpha.total[0] ? sum : `${sum}${filled} = ${six(values[c])}`;
}

function products(name, { window: pixels, opaque, weights, products: found }, c, sum) {
  const few = weights.length * weights[0].length <= WRITTEN;
  const table = (caption, values, kind) => element("div", { class: "scroll" }, element("table", { class: "numbers" },
    element("caption", {}, caption), element("tbody", {},
      ...values.map((line) => element("tr", {}, ...line.map((value) => element("td", { class: kind }, digits(value, few ? 6 : 3))))))));
  const sign = (text) => element("span", { class: "sign", "aria-hidden": "true" }, text);
  return element("div", { class: "grids" },
    ...(few ? [table(`${name}: pixels`, pixels[c], "input"), sign("×"),
      ...(opaque ? [table("opacity", opaque, "count"), sign("×")] : []), table("weights", weights, "weights"), sign("→")] : []),
    table(`${few ? "" : `${name}: `}products, sum ${sum}`, found[c], "output"));
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

const clamp = (value, most) => Math.min(most, Math.max(0, value));

/** Let the pointer and the arrow keys choose a pixel of a canvas: `look(row, column)` at what is pointed at, `pin([row, column])`
    to keep one; `kept()` gives the kept one, or []. */
export function pointing(canvas, { look, pin, kept }) {
  const pointed = (event) => {
    const box = canvas.getBoundingClientRect();
    return [Math.floor((event.clientY - box.top) / box.height * canvas.height), Math.floor((event.clientX - box.left) / box.width * canvas.width)]
      .map((index, axis) => clamp(index, [canvas.height, canvas.width][axis] - 1));
  };
  canvas.addEventListener("pointermove", (event) => look(...pointed(event)));
  canvas.addEventListener("pointerleave", () => look(...kept()));
  canvas.addEventListener("click", (event) => pin(pointed(event)));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const far = event.shiftKey ? 10 : 1;
    const [row, column] = kept().length === 2 ? kept() : [0, 0];
    pin([clamp(row + far * step[0], canvas.height - 1), clamp(column + far * step[1], canvas.width - 1)]);
  });
}
