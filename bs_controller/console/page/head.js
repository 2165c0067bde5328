// The head of the page: what is shown, the figures that one reads from across the room, and start and stop.
import { fixed, joined, metres, milliseconds, seconds } from "./format.js";
import { element } from "./panel.js";

const HINTS = {
  time: "time since the run began", located: "users with a fix", rate: "fixes of the last 5 s, or all of a run that is over",
  error: "median error of the best scheme", latency: "95th percentile of the time of one localization", alarms: "alarms so far",
};
const byId = (id) => document.getElementById(id);

export function createHead(context) {
  const figures = Object.fromEntries([
    ["time", "run time"], ["located", "located"], ["rate", "fixes"], ["error", "median error"],
    ["latency", "fix p95"], ["alarms", "alarms"],
  ].map(([key, title]) => {
    const root = element("div", { className: key === "rate" ? "minor" : "", title: HINTS[key] }), value = element("dd");
    root.append(element("dt", { textContent: title }), value);
    byId("figures").append(root);
    return [key, { root, value }];
  }));
  const put = (key, [number, unit], level = "") => {
    const { root, value } = figures[key];
    value.replaceChildren(number, ...(unit ? [element("small", { textContent: unit })] : []));
    root.dataset.level = level;
  };
  for (const name of ["start", "stop"]) byId(name).onclick = () => context.send({ control: name });
  byId("user").onchange = () => context.choose(byId("user").value);
  return {
    show(status) {
      const { run, errors, latencies } = context.store;
      byId("name").textContent = run?.name ?? "waiting for a run";
      byId("name").title = run ? `${run.directory}\nstarted ${run.started_utc}` : "";
      document.title = run ? `${run.name} – nftestbed console` : "nftestbed console";
      setMode(status);
      put("time", seconds(status.position_s ?? status.time_s));
      put("located", [`${status.located ?? "–"}`, `of ${status.users ?? "–"}`]);
      put("rate", [status.fixes_per_s == null ? String(status.fixes ?? "–") : fixed(status.fixes_per_s, 1), status.fixes_per_s == null ? "" : "per second"]);
      const medians = Object.values(errors?.schemes ?? {}).map(({ p50 }) => p50).filter((value) => value != null);
      put("error", metres(medians.length ? Math.min(...medians) : null));
      put("latency", milliseconds(latencies?.requests.fix?.p95));
      put("alarms", [String(status.alarms ?? 0), ""], status.alarms ? "warn" : "");
      const running = run && status.ended == null;
      for (const name of ["start", "stop"]) byId(name).hidden = !(status.controls ?? []).includes(name) || (name === "stop") !== !!running;
      setUsers(run?.ues ?? [], status.ue);
    },
    lost() { setMode({ mode: "lost" }); },
  };
}

// A controller says once a second which run it is.
const SILENT_S = 3.5;

function setMode({ mode, ended, read, silent_s, failures }) {
  const badge = byId("mode"), silent = mode === "live" && ended == null && silent_s > SILENT_S;
  if (silent) mode = "silent";
  badge.dataset.state = mode === "live" && silent_s == null ? "waiting" : mode === "live" && ended && failures ? "failures" : mode;
  badge.textContent = { live: ended == null ? (silent_s == null ? "no controller yet" : "live") : ended ? (failures ? "finished, with failures" : "finished") : "stopped", recorded: read == null ? "recording" : `reading ${Math.floor(100 * read)} %`, lost: "connection lost", silent: "controller silent" }[mode] ?? mode;
}

function setUsers(ues, chosen) {
  const select = byId("user");
  if (select.options.length !== ues.length || [...select.options].some((option, n) => option.value !== ues[n])) {
    select.replaceChildren(...ues.map((ue) => element("option", { value: ue, textContent: ue })));
  }
  if (chosen && document.activeElement !== select) select.value = chosen;
}

export function createPlayback(context) {
  const [bar, position, play, speed] = ["playback", "position", "play", "speed"].map(byId);
  let held = false;
  position.oninput = () => { held = true; context.send({ seek: Number(position.value) }); };
  position.onchange = () => { held = false; };
  play.onclick = () => context.send({ play: context.status.playing !== true });
  speed.onchange = () => context.send({ speed: Number(speed.value) });
  return {
    show({ position_s, duration_s, playing }) {
      bar.hidden = position_s == null;
      if (position_s == null) return;
      position.max = duration_s;
      if (!held) position.value = position_s;
      position.setAttribute("aria-valuetext", `${fixed(position_s, 2)} seconds`);
      play.textContent = playing ? "❚❚" : "▶";
      byId("moment").textContent = `${joined(seconds(position_s))} / ${joined(seconds(duration_s))}`;
    },
  };
}
