// Joins the connection, the newest sections and the panels. A frame is drawn once; the server hears that, and sends the next.
import { decode } from "./frames.js";
import { inOrder, knowSchemes, setTheme } from "./colours.js";
import { createHead, createPlayback } from "./head.js";
import * as map from "./map.js";
import * as power from "./power.js";
import * as image from "./image.js";
import * as elements from "./elements.js";
import * as errors from "./errors.js";
import * as latency from "./latency.js";
import * as peers from "./peers.js";
import * as alarms from "./alarms.js";

const PER_USER = ["power", "image", "elements"];
const counted = (window.consoleCounts = { frames: 0, latencies_ms: [], opened: 0 });

const context = {
  store: {}, status: {}, user: null, focus: null,
  send: (wish) => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(wish)); },
  choose(ue) {
    for (const section of PER_USER) delete context.store[section];
    context.user = ue;
    context.send({ choose: ue });
  },
  touch(key) { panels.find((panel) => panel.key === key).dirty = true; plan(); },
  users: () => context.store.run?.ues ?? [],
  schemes: () => inOrder([...new Set((context.store.fixes?.fixes ?? []).map(({ scheme }) => scheme))]),
  // Where a user is shown: where it truly is, else tracked, else its newest fix.
  place(ue) {
    const { fixes, tracks } = context.store;
    const found = tracks?.truth.find((one) => one.ue === ue) ?? tracks?.tracks.find((one) => one.ue === ue);
    return found?.point ?? (fixes?.fixes ?? []).filter((fix) => fix.ue === ue).at(-1)?.point;
  },
};

const panels = [map, power, image, elements, errors, latency, peers, alarms].map(({ create }) => create(context));
document.getElementById("panels").append(...panels.map(({ root }) => root));
const head = createHead(context), playback = createPlayback(context);

let socket = null, planned = false, pending = null;

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/frames`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { counted.opened += 1; context.generation = null; };
  socket.onmessage = ({ data }) => { take(decode(data)); };
  socket.onclose = () => { head.lost(); setTimeout(connect, 500); };
}

function take({ status, sections }) {
  if (status.generation !== context.generation) {
    context.generation = status.generation;
    context.store = {};
    if (context.user && context.user !== status.ue) context.send({ choose: context.user });
  }
  context.status = status;
  for (const section of Object.keys(sections)) {
    if (PER_USER.includes(section) && context.user && sections[section].ue !== context.user) delete sections[section];
  }
  context.user ??= status.ue ?? null;
  Object.assign(context.store, sections);
  if (sections.run) { knowSchemes(sections.run.schemes); if (!sections.run.ues.includes(context.user)) context.user = status.ue; }
  for (const panel of panels) panel.dirty ||= panel.sections.some((name) => name in sections);
  pending = status;
  plan();
}

function plan() {
  if (!planned) { planned = true; requestAnimationFrame(draw); }
}

function draw() {
  planned = false;
  for (const panel of panels) {
    if (!context.store.run) panel.sayNothing("waiting for a run");
    else if (panel.nothing.textContent === "waiting for a run") panel.sayNothing(null);
    if (!panel.dirty || panel.root.offsetParent === null) continue; // a hidden one is drawn when it is seen again
    panel.dirty = false;
    panel.update();
    panel.about.title = panel.about.textContent;
  }
  if (!pending) return;
  head.show(pending);
  playback.show(pending);
  counted.frames += 1;
  if (pending.event_ms) counted.latencies_ms.push(Date.now() - pending.event_ms);
  if (counted.latencies_ms.length > 5000) counted.latencies_ms.shift();
  context.send({ drawn: pending.frame });
  pending = null;
}

function theme(name) {
  setTheme(name);
  for (const panel of panels) { panel.dirty = true; panel.themed?.(); }
  plan();
}

function nextUser(step) {
  const ues = context.users();
  if (ues.length) context.choose(ues[(ues.indexOf(context.user) + step + ues.length) % ues.length]);
}

function switchTheme() {
  const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", name);
  theme(name);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, button, dialog *");
  const large = document.querySelector(".panel.large");
  if (event.key === "Escape" && large) panels.find(({ root }) => root === large).enlarge();
  else if (event.target.matches("select")) return;
  else if (/^[1-8]$/.test(event.key)) panels[Number(event.key) - 1].enlarge();
  else if (event.key === "u") nextUser(1);
  else if (event.key === "U") nextUser(-1);
  else if (event.key === "t") switchTheme();
  else if (event.key === "?") document.getElementById("keys").showModal();
  else if (event.key === " " && !typing) { event.preventDefault(); document.getElementById("play").click(); }
});
document.getElementById("theme").onclick = switchTheme;
document.getElementById("help").onclick = () => document.getElementById("keys").showModal();
window.addEventListener("redraw", plan);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => { if (!localStorage.getItem("theme")) theme(dark.matches ? "dark" : "light"); });
theme(localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light"));
connect();
