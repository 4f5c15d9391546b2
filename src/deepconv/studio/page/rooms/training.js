// Training in the page: its buttons, its news and its curves.
import { ask, on } from "../api.js";
import { element, field, group, shown } from "../dom.js";
import { curves } from "./curves.js";

const AGAIN = 1000; // milliseconds until a run that somebody still writes is asked about again
const kept = { news: "", ended: false }; // what was said last, and whether of a run's end, for who comes back to the room

/** `changed(began)` is called when a training begins or ends, `learned(shape, data)` with the filters after every epoch. */
export function trainer({ values, remember, refuse, changed, learned }) {
  const news = element("p", { role: "status", class: "explain news" });
  const curve = curves();
  const epochs = element("input", { type: "number", min: 1, max: 200, value: values.epochs ?? 15, onchange: note });
  const seed = element("input", { type: "number", min: 0, value: values.seed ?? 0, onchange: note });
  const begin = element("button", { class: "main", onclick: () => train(false) }, "Train the digits");
  const resume = element("button", { onclick: () => train(true) }, "Continue a stopped run");
  const pause = element("button", { disabled: true, onclick: () => control(pause.textContent === "Pause" ? "pause" : "resume") }, "Pause");
  const stop = element("button", { disabled: true, onclick: () => control("stop") }, "Stop");
  const controls = group("Train", field("epochs", epochs), field("seed", seed),
    element("div", { class: "buttons" }, begin, pause, stop), element("div", { class: "buttons" }, resume));
  let run = null; // {epochs, history, least_loss, …} of this page's
  let own = values.epochs !== undefined; // whether the fields hold what the person wants
  let left = false;
  let ends = [];

  function note() {
    own = true;
    remember({ epochs: epochs.value, seed: seed.value }, { push: false });
  }

  function say(text, ended = false) {
    Object.assign(kept, { news: text, ended });
    news.textContent = text;
  }

  function going(is, paused = false) {
    begin.disabled = is;
    resume.disabled = is;
    pause.disabled = !is;
    stop.disabled = !is;
    pause.textContent = paused ? "Go on" : "Pause";
  }

  function sayStep({ epoch, fraction, loss }) {
    run.batch = { epoch, fraction, loss };
    const paused = pause.textContent === "Go on" ? "Paused in " : "";
    say(`${paused}epoch ${epoch} of ${run.epochs}, ${Math.round(100 * fraction)} % of the run done, loss ${shown(loss)}`);
  }

  function show(found) {
    going(found.training, found.paused);
    run = found.run ?? run;
    if (run) curve.draw(run);
    const told = found.training ? found.run : found.waiting;
    if (told && !own) [epochs.value, seed.value] = [told.epochs, told.seed];
    if (found.training && found.run.batch) sayStep(found.run.batch);
    else if (found.training || kept.ended) news.textContent = kept.news;
    else if (found.waiting) wait(found.waiting);
    else news.textContent = "";
  }

  /** Say that a stopped run waits. One that somebody still writes may only be about to stop. */
  function wait({ folder, done, epochs: all, busy }) {
    const how = done ? `after ${done} of ${all} epochs` : `in the first of ${all} epochs`;
    news.textContent = busy ? `${folder} is being trained by another page or another studio.`
      : `A run was stopped ${how} and waits in ${folder}: “${resume.textContent}” goes on with it.`;
    if (busy) setTimeout(() => !left && begin.disabled === false && changed(), AGAIN);
  }

  async function train(goOn) {
    try {
      refuse(null);
      note();
      run = await ask("network", "train", { epochs: epochs.valueAsNumber, seed: seed.valueAsNumber, resume: goOn });
      if (goOn) [epochs.value, seed.value] = [run.epochs, run.seed];
      going(true);
      curve.draw(run);
      const place = run.history.length ? `, which holds ${run.history.length} of its ${run.epochs} epochs` : "";
      say(`Getting ready. The library may have to compile for this machine first, which takes up to half a minute. The run is kept in ${run.folder}${place}.`);
      changed(true);
    } catch (error) { refuse(error); }
  }

  async function control(action) {
    try {
      await ask("network", "control", { action });
      if (action !== "stop") pause.textContent = action === "pause" ? "Go on" : "Pause";
      if (run.batch) sayStep(run.batch);
    } catch (error) { refuse(error); }
  }

  function ended(found) {
    going(false);
    if (found.error) refuse({ message: found.error });
    else if (found.stopped) say(`Stopped; the run waits in ${run.folder}, and “${resume.textContent}” goes on with it.`, true);
    else say(`${(100 * found.accuracy).toFixed(2)} % of the held-out digits are right; saved as ${found.model}.`, true);
    changed();
  }

  /** Listen to what happens; once it is known how things stand, as news of before would count twice. */
  function watch() {
    if (left) return;
    ends = [
      on("network", "batch", (batch) => run && sayStep(batch)),
      on("network", "epoch", (record, blobs) => {
        if (!run) return;
        if (record.epoch > run.history.length) run.history.push(record);
        curve.draw(run);
        learned(record.filters, blobs[0]);
      }),
      on("network", "end", ended),
    ];
  }

  return { controls, news, curves: curve.box, show, watch, leave: () => { left = true; ends.forEach((end) => end()); } };
}
