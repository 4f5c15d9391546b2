// My network: trained here or loaded; what it says of a drawing or a picture, layer by layer, and why.
import { ask, askLatest, superseded } from "../api.js";
import { element, field, group } from "../dom.js";
import { bars } from "./bars.js";
import { filters, layerList } from "./layers.js";
import { paper } from "./paper.js";
import { trainer } from "./training.js";

const kept = { asked: null, model: null }; // so that leaving the room, or a broken line, loses nothing

export async function open(root, { values, remember }) {
  const refusal = element("p", { class: "refusal", role: "alert" });
  const refuse = (error) => { refusal.textContent = error?.message ?? ""; };
  const about = element("div", { class: "about" });
  const first = element("div", { class: "maps", role: "group", "aria-label": "the first layer’s filters" });
  const firstTitle = element("h3", { hidden: true }, "The first layer’s filters");
  const verdict = element("div", { role: "status", class: "verdict" });
  const layers = layerList(refuse);
  const training = trainer({ values, remember, refuse, changed: refresh, learned: (shape, data) => {
    drawFilters(shape, data);
    again();
  } });
  const file = element("input", { type: "file", accept: ".safetensors", onchange: async () => {
    if (file.files.length) load({ name: file.files[0].name, data: await file.files[0].arrayBuffer() });
  } });
  const picture = element("input", { type: "file", accept: "image/*", onchange: async () => {
    if (picture.files.length) look({ args: {}, blobs: [await picture.files[0].arrayBuffer()], name: picture.files[0].name });
  } });
  const sheet = paper((pixels, side) => {
    picture.value = "";
    look({ args: { height: side, width: side }, blobs: [pixels], name: "" });
  });
  let classes = null; // the network's, in its own order; null while there is no network
  let gone = false;

  root.append(
    element("p", { class: "explain" }, "Train a network on handwritten digits here, or load a model file from deepconv train. Then draw: every layer’s answer is shown as you do, ",
      "and the pixels that mattered. Click an activation to see the numbers and the weights that made it."),
    refusal,
    element("div", { class: "columns" },
      element("div", {},
        training.controls,
        group("Load", field("a model file", file)),
        element("fieldset", {}, element("legend", {}, "Show it"), sheet.canvas,
          element("div", { class: "buttons" }, element("button", { onclick: clean }, "Clean paper")), field("or a picture", picture)),
        about),
      element("div", {}, training.news,
        element("section", { class: "said" }, element("h3", {}, "What it says"), verdict),
        training.curves, firstTitle, first, layers.box)));

  function clean() {
    sheet.clear();
    picture.value = "";
    kept.asked = null;
    refuse(null);
    verdict.replaceChildren();
    layers.clear();
  }

  async function load(chosen) {
    try {
      show(await ask("network", "load", { name: chosen.name }, [chosen.data]));
      kept.model = chosen;
      refuse(null);
      again();
    } catch (error) { refuse(error); }
  }

  /** Show how things stand: at the beginning, and when a training begins or ends. */
  async function refresh(began = false) {
    if (began) [kept.model, file.value] = [null, ""];
    try {
      const found = await ask("network", "state");
      if (gone) return;
      if (found.model === null && kept.model) return load(kept.model); // the line broke, and the studio forgot it
      show(found);
      again();
    } catch (error) { refuse(error); }
  }

  function show(found) {
    classes = found.model === null ? null : found.classes;
    training.show(found);
    if (!classes) return;
    about.replaceChildren(summary(found.model, found.summary, about.querySelector("details")?.open));
    drawFilters(found.filters, found.blobs[0]);
  }

  function drawFilters(shape, data) {
    first.replaceChildren(...filters(shape, data));
    firstTitle.hidden = !first.children.length;
  }

  const again = () => kept.asked && look(kept.asked);

  async function look(next) {
    if (!next.name) kept.asked = next; // the pen is ahead of the answers
    if (!classes) {
      kept.asked = next;
      verdict.replaceChildren(element("p", {}, "There is no network yet that could tell: train the digits, or load a model file."));
      return;
    }
    try {
      const answer = await askLatest("network", "see", next.args, next.blobs);
      if (answer === superseded || gone) return;
      kept.asked = next;
      if (next.name) sheet.clear();
      refuse(null);
      const shownFor = next.name ? [element("p", { class: "explain" }, `of ${next.name}`)] : [];
      verdict.replaceChildren(...shownFor, bars(answer.classes, classes));
      layers.show(answer);
    } catch (error) {
      refuse(error); // what was shown of the picture before stays, and is still the one that is asked about
      if (next.name) return;
      verdict.replaceChildren();
      layers.clear();
    }
  }

  const opened = refresh();
  opened.then(() => training.watch());
  return () => { gone = true; training.leave(); };
}

/** The layers as a table, folded to a line. */
function summary(name, { rows, parameters, multiply_adds: cost }, unfolded) {
  const number = (value) => value.toLocaleString("en");
  const line = (cells, kind) => element("tr", {}, ...cells.map((cell) => element(kind, {}, cell)));
  return element("details", { open: unfolded ?? matchMedia("(min-width: 901px)").matches },
    element("summary", {}, element("strong", {}, name), `: ${number(parameters)} parameters`),
    element("table", { class: "summary" },
      element("thead", {}, line(["name", "layer", "output", "parameters", "multiply-adds"], "th")),
      element("tbody", {}, ...rows.map(([layer, kind, shape, size, adds]) => line([layer, kind, shape.join(" × "), number(size), number(adds)], "td"))),
      element("tfoot", {}, line(["total", "", "", number(parameters), number(cost)], "td"))));
}
