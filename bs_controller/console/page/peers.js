// Who takes part, in which state, and in which version.
import { fixed } from "./format.js";
import { element, Panel } from "./panel.js";

const WORDS = { open: "connected", closed: "lost", absent: "not here yet", ended: "run over" };

export function create(context) {
  const panel = new Panel("peers", "Peers", { scroll: true, picture: false });
  panel.sections = ["peers"];
  const table = element("table"), head = element("thead"), rows = element("tbody");
  head.append(row("th", ["peer", "state", "software", "refused"]));
  table.append(head, rows);
  panel.body.append(table);
  panel.update = () => {
    const peers = context.store.peers?.peers ?? [];
    panel.about.textContent = `${peers.filter(({ state }) => state === "open").length} of ${peers.length} connected`;
    rows.replaceChildren(...peers.map(({ name, state, software, faults }) => {
      const made = row("td", [name, WORDS[state] ?? state, software || "–", faults ? String(faults) : ""]);
      const dot = element("span", { className: "dot" });
      dot.dataset.state = state;
      made.children[1].prepend(dot);
      return made;
    }));
  };
  panel.table = () => [["peer", "role", "state", "software", "since_s", "refused"], ...(context.store.peers?.peers ?? []).map((p) => [p.name, p.role, p.state, p.software, p.since_s, p.faults])];
  return panel;
}

export function row(tag, cells) {
  const made = element("tr");
  made.append(...cells.map((text) => element(tag, { textContent: text })));
  return made;
}
