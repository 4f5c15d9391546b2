// What a person takes along from the lab: the result as a file, and the same as Python, as a command or as a link.
import { ask, askLatest, superseded } from "../api.js";
import { copy, download, element } from "../dom.js";

/** The buttons. `wanted()` gives the settings, `refused(text)` is told what can't be had. */
export function copies({ wanted, refused }) {
  const note = element("p", { class: "explain", role: "status" });

  async function save() {
    try {
      const { file, blobs } = await ask("lab", "save", { settings: wanted() });
      download(new Blob(blobs, { type: "image/png" }), file);
    } catch (error) { refused(error.message); }
  }

  async function take(kind, button) {
    try {
      const answer = await askLatest("lab", "words", { settings: wanted() });
      if (answer === superseded) return;
      if (answer[kind] === null) return refused("deepconv filter has no stride; copy as Python, or set stride to 1.");
      await copy(answer[kind], button);
      const again = kind === "python" ? "give write_image overwrite=True" : "add --force";
      note.textContent = `It writes ${answer.file}, and never over a file that is there: to run it again, ${again}.`;
    } catch (error) { refused(error.message); }
  }

  return [
    element("div", { class: "buttons" },
      element("button", { class: "main", onclick: save }, "Save the result"),
      element("button", { onclick: (event) => take("python", event.currentTarget) }, "Copy as Python"),
      element("button", { onclick: (event) => take("command", event.currentTarget) }, "Copy as command"),
      element("button", { onclick: (event) => copy(location.href, event.currentTarget) }, "Copy the link")),
    note,
  ];
}
