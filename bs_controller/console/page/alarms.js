// What a person should look at, newest first.
import { fixed } from "./format.js";
import { element, Panel } from "./panel.js";

export function create(context) {
  const panel = new Panel("alarms", "Alarms", { scroll: true, picture: false });
  panel.sections = ["alarms"];
  panel.body.setAttribute("aria-live", "polite");
  const list = element("ol", { className: "alarms" });
  panel.body.append(list);
  panel.update = () => {
    const { alarms } = context.store;
    if (!alarms) return;
    panel.about.textContent = Object.entries(alarms.counts).map(([kind, count]) => `${kind} ${count}`).join(", ");
    panel.sayNothing(alarms.latest.length ? null : "✓ no alarms");
    panel.nothing.classList.toggle("ok", !alarms.latest.length);
    list.replaceChildren(...alarms.latest.map(({ time_s, level, text, times }) => {
      const entry = element("li");
      entry.dataset.level = level;
      entry.append(element("time", { textContent: `${fixed(time_s, 2)} s` }), element("span", { textContent: times > 1 ? `${text} (${times} times)` : text }));
      return entry;
    }));
  };
  panel.table = () => [["time_s", "level", "text", "times"], ...(context.store.alarms?.latest ?? []).map((a) => [a.time_s, a.level, a.text, a.times])];
  return panel;
}
