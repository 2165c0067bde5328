// The frame that every panel shares: title, what it is about, downloads, enlarging, and what it says when it is empty.
import { css } from "./colours.js";

let number = 0;

export class Panel {
  constructor(key, title, { scroll = false, picture = true } = {}) {
    this.key = key;
    this.number = ++number;
    this.root = element("section", { className: `panel ${key}` });
    this.root.style.gridArea = key;
    this.root.setAttribute("aria-labelledby", `title-${key}`);
    const head = element("header");
    head.append(element("h2", { id: `title-${key}`, textContent: title }), (this.about = element("span", { className: "about" })));
    const save = element("div", { className: "save" });
    if (picture) save.append(button("PNG", `${title}: save as PNG`, () => this.savePicture()));
    save.append(button("CSV", `${title}: save as CSV`, () => this.saveTable()));
    save.append(button("⤢", `${title}: enlarge or bring back (${this.number})`, () => this.enlarge()));
    head.append(save);
    this.legend = element("div", { className: "legend" });
    this.body = element("div", { className: scroll ? "body scroll" : "body", tabIndex: 0 });
    this.body.setAttribute("role", scroll ? "region" : "img");
    this.body.setAttribute("aria-label", title);
    this.readout = element("div", { className: "readout" });
    this.nothing = element("div", { className: "empty", hidden: true });
    this.body.append(this.nothing);
    this.root.append(head, this.legend, this.body, this.readout);
    this.title = title;
    this.dirty = true;
    if (scroll) this.readout.remove();
    new ResizeObserver(() => { this.resized?.(); this.dirty = true; window.dispatchEvent(new Event("redraw")); }).observe(this.body);
  }

  // How much larger words and marks are in a panel that has the page to itself, for those who stand across the room.
  get zoom() { return this.root.classList.contains("large") ? 1.4 : 1; }

  enlarge() {
    const main = this.root.parentElement;
    const large = !this.root.classList.contains("large");
    for (const other of main.children) other.classList.remove("large");
    this.root.classList.toggle("large", large);
    main.toggleAttribute("data-large", large);
    if (large) this.body.focus();
  }

  sayNothing(why) {
    this.nothing.textContent = why ?? "";
    this.nothing.hidden = !why;
    this.root.classList.toggle("nothing", !!why);
    if (!why) return;
    this.readout.textContent = "";
    this.setLegend([]);
  }

  setLegend(entries) {
    const key = JSON.stringify(entries) + document.documentElement.dataset.theme;
    if (this.legendKey === key) return;
    this.legendKey = key;
    this.legend.replaceChildren(...entries.map(({ colour, shape, name, value }) => {
      const entry = element("span");
      if (colour) { const mark = element("i"); mark.style.background = colour; mark.style.clipPath = shape ?? ""; entry.append(mark); }
      entry.append(name);
      if (value) entry.append(" ", element("b", { textContent: value }));
      return entry;
    }));
  }

  savePicture() {
    const drawn = this.canvas?.();
    if (!drawn) return;
    const scale = window.devicePixelRatio || 1, top = 44 * scale;
    const sheet = document.createElement("canvas");
    sheet.width = drawn.width; sheet.height = drawn.height + top;
    const c = sheet.getContext("2d");
    c.fillStyle = css("--panel"); c.fillRect(0, 0, sheet.width, sheet.height);
    c.fillStyle = css("--ink"); c.font = `600 ${13 * scale}px sans-serif`;
    c.fillText(`${this.title}  ${this.about.textContent}`, 9 * scale, 17 * scale);
    let x = 9 * scale;
    c.font = `${11 * scale}px sans-serif`;
    for (const entry of this.legend.children) {
      c.fillStyle = entry.querySelector("i")?.style.background || css("--muted");
      const words = (entry.querySelector("i") ? "■ " : "") + entry.textContent;
      c.fillText(words, x, 35 * scale);
      x += c.measureText(words).width + 12 * scale;
    }
    c.drawImage(drawn, 0, top);
    sheet.toBlob((blob) => download(blob, `${this.key}.png`));
  }

  saveTable() {
    const rows = this.table?.() ?? [];
    const cell = (value) => (/[",\n]/.test(String(value ?? "")) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ""));
    download(new Blob([rows.map((row) => row.map(cell).join(",") + "\n").join("")], { type: "text/csv" }), `${this.key}.csv`);
  }
}

export function element(tag, values = {}) {
  return Object.assign(document.createElement(tag), values);
}

function button(label, hint, act) {
  const made = element("button", { type: "button", textContent: label, title: hint, onclick: act });
  made.setAttribute("aria-label", hint);
  return made;
}

function download(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A canvas that fills a panel's body, drawn in CSS pixels whatever the screen's density.
export function fullCanvas(panel) {
  const canvas = element("canvas", { className: "fill" });
  panel.body.prepend(canvas);
  panel.canvas = () => canvas;
  return () => {
    const box = panel.body.getBoundingClientRect(), width = box.width / panel.zoom, height = box.height / panel.zoom;
    const scale = (window.devicePixelRatio || 1) * panel.zoom;
    const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    const c = canvas.getContext("2d");
    c.setTransform(scale, 0, 0, scale, 0, 0);
    c.clearRect(0, 0, width, height);
    c.font = "11px system-ui, sans-serif";
    return { c, width, height };
  };
}
