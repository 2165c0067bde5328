// Received power over subcarriers of the chosen user, and where each subcarrier's beam looks.
import { css } from "./colours.js";
import { degrees, fixed } from "./format.js";
import { Panel } from "./panel.js";
import { Plot, verticalLine } from "./plot.js";

export function create(context) {
  const panel = new Panel("power", "Power over subcarriers");
  panel.sections = ["run", "power"];
  let cursor = null;
  const plot = new Plot(panel, {
    x: { label: "frequency / GHz" },
    y: { label: "power / dBm", range: (u, low, high) => (low == null ? [-100, 0] : [Math.max(Math.floor((low - 2) / 5) * 5, Math.ceil(high / 5) * 5 - 70), Math.ceil((high + 2) / 5) * 5]) },
    onCursor: (index) => { cursor = index; say(panel, context, index); },
    draw: (u) => {
      const { power } = context.store;
      if (power?.peak != null) verticalLine(u, u.data[0][power.peak], css("--s1"), "peak", { low: true, zoom: panel.zoom });
    },
  });
  panel.update = () => {
    const { run, power } = context.store;
    if (!run || !power) return;
    panel.about.textContent = power.epoch == null ? context.user : `${power.ue}, epoch ${power.epoch}, ${power.scheme}, ${form(power)}`;
    const values = power.arrays.power_dbm;
    panel.sayNothing(values ? null : power.why);
    if (!values) { panel.readout.textContent = power.subcarrier == null ? "" : `strongest subcarrier: ${power.subcarrier}`; return; }
    const ghz = Float64Array.from(values, (_, m) => (run.first_hz + m * run.spacing_hz) / 1e9);
    plot.set([ghz, values], [{ name: "power", colour: () => css("--s0"), width: 1.2 }]);
    say(panel, context, cursor);
  };
  panel.table = () => {
    const { run, power } = context.store, arrays = power?.arrays ?? {};
    return [["subcarrier", "frequency_hz", "power_dbm", "focus_range_m", "focus_angle_rad"], ...Array.from(arrays.power_dbm ?? [], (value, m) => [m, run.first_hz + m * run.spacing_hz, value, arrays.focus_range_m?.[m], arrays.focus_angle_rad?.[m]])];
  };
  panel.themed = () => plot.redraw();
  return panel;
}

const form = ({ form: name, focus }) => `${String(name).replace("Feedback", "").toLowerCase()} report of a ${focus === "GroupFoci" ? "sweep in groups" : "trajectory"}`;

function say(panel, context, index) {
  const { run, power } = context.store, arrays = power?.arrays ?? {};
  const m = index ?? power?.peak;
  const before = context.focus;
  context.focus = index == null || !arrays.focus_range_m ? null : { range_m: arrays.focus_range_m[m], angle_rad: arrays.focus_angle_rad[m] };
  if (before !== context.focus) context.touch("map");
  if (m == null || !arrays.power_dbm) return;
  const focus = arrays.focus_range_m ? `, looks at ${Number.isFinite(arrays.focus_range_m[m]) ? fixed(arrays.focus_range_m[m], 2) + " m" : "infinity"}, ${degrees(arrays.focus_angle_rad[m])}` : "";
  const what = document.createElement("b");
  what.textContent = `${index == null ? "peak: " : ""}subcarrier ${m}`;
  panel.readout.replaceChildren(what, ` ${fixed((run.first_hz + m * run.spacing_hz) / 1e9, 4)} GHz, ${fixed(arrays.power_dbm[m], 2)} dBm${focus}`);
}
