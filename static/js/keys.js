// SPDX-License-Identifier: AGPL-3.0-or-later
// Keys. Which there are is in the page (z4j/web/frame/keyboard_shortcuts.py): those of scripts in data-keys of the body, those of elements in data-key.
// No key does anything while somebody types in a field, except Escape and the one of the palette.

const PREFIX = "g";
const PREFIX_MS = 1500;
const FIELDS = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const acts = Object.fromEntries((document.body.dataset.keys ?? "").split(" ").filter(Boolean).map((pair) => pair.split("=")));
let prefix = "";

if (/Mac|iP(hone|ad)/.test(navigator.platform)) for (const key of document.querySelectorAll(".find .key")) key.textContent = "⌘ K";

// -- rows -------------------------------------------------------------------------------------------------------------
function move(step) {
  const rows = [...document.querySelectorAll("tbody .through")];
  if (!rows.length) return;
  const next = rows[Math.min(Math.max(rows.indexOf(document.activeElement) + step, 0), rows.length - 1)];
  next.focus({ preventScroll: true });
  next.closest("tr").scrollIntoView({ block: "nearest" });
}

function select() {
  const box = document.activeElement?.closest("[data-row]")?.querySelector(".tick");
  if (!box) return;
  box.checked = !box.checked;
  ticked();
}

function ticked() {
  const boxes = [...document.querySelectorAll(".tick:checked")];
  const ids = boxes.map((box) => box.closest("[data-task]").dataset.task);
  const bar = document.querySelector("[data-ticks]");
  if (!bar) return;
  bar.hidden = !ids.length;
  bar.querySelector("[data-copy]").dataset.copy = ids.join("\n");
  bar.querySelector("span").textContent = `${ids.length} selected`;
}

document.addEventListener("change", (event) => { if (event.target.matches(".tick")) ticked(); });

// -- dialogs: the palette and the list of keys, loaded when they are first opened ----------------------------------------
async function open(name) {
  const opener = document.querySelector("[data-palette]");
  if (!opener) return;
  const { openPalette, openKeys } = await import(opener.dataset.palette);
  if (name === "find") openPalette(opener); else openKeys();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-palette], [data-keys-list]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  open(link.matches("[data-palette]") ? "find" : "keys");
});

function close() {
  document.querySelectorAll("details.drawer[open], details.menu[open]").forEach((element) => { element.open = false; });
  document.activeElement?.blur();
}

// -- presses ------------------------------------------------------------------------------------------------------------
function press(key) {
  const target = [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key && element.checkVisibility());
  if (!target) return false;
  if (target.matches("input")) { target.focus(); target.select(); } else target.click();
  return true;
}

const DOES = {
  find: () => open("find"),
  keys: () => open("keys"),
  next: () => move(1),
  previous: () => move(-1),
  select,
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const isCommand = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
  if (isCommand && acts[`Ctrl+${event.key.toLowerCase()}`] === "find") {
    event.preventDefault();
    open("find");
    return;
  }
  if (event.key === "Escape") { close(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(FIELDS)) return;
  const key = prefix ? `${prefix} ${event.key}` : event.key;
  prefix = "";
  if (key === PREFIX) { prefix = PREFIX; setTimeout(() => { prefix = ""; }, PREFIX_MS); return; }
  const does = DOES[acts[key]];
  if (does) does(); else if (!press(key)) return;
  event.preventDefault();
});
