// SPDX-License-Identifier: AGPL-3.0-or-later
// The palette and the list of keys, as dialogs over the page; the browser keeps the focus in them and returns it. Both are also pages:
// /find and /keys. A result is a link or opens a form of this page; nothing is executed from here.

const WAIT_MS = 80;
const RECENT = 6;
const ON_PAGE = 5;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function withStyles(opener) {
  if (document.querySelector("link[data-find-styles]")) return;
  document.head.append(make("link", { rel: "stylesheet", href: opener.dataset.styles, "data-find-styles": "" }));
}

function show(dialog) {
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.showModal();
}

// -- what this person chose last: kept in the browser, until the sign-out ------------------------------------------------
function recent(key) {
  try {
    const items = JSON.parse(localStorage.getItem(key) ?? "[]");
    return items.filter((item) => ["kind", "text", "note", "href"].every((name) => typeof item[name] === "string") && item.href.startsWith("/"));
  } catch { return []; }
}

function remember(key, item) {
  const { kind, text, note, href } = item;
  const items = [{ kind, text, note, href }, ...recent(key).filter((other) => other.href !== href)].slice(0, RECENT);
  try { localStorage.setItem(key, JSON.stringify(items)); } catch { /* not allowed: nothing is remembered */ }
}

// -- actions of this page that have a form or a page of their own ------------------------------------------------------------
function onPage(words) {
  const found = [];
  for (const element of document.querySelectorAll("main details.drawer > summary, main .acts a.btn")) {
    if (!element.checkVisibility()) continue;
    const text = [...element.childNodes].filter((node) => !node.matches?.(".key, svg")).map((node) => node.textContent).join("").trim();
    const has = words.every((word) => text.toLowerCase().split(/[^\p{L}\p{N}]+/u).some((part) => part.startsWith(word)));
    if (text.length > 2 && has) found.push({ kind: "action", text, note: "on this page", href: element.getAttribute("href") ?? "", element, rank: 0 });
  }
  return found.slice(0, ON_PAGE);
}

// -- the palette ----------------------------------------------------------------------------------------------------------
export function openPalette(opener) {
  withStyles(opener);
  const key = `z4j recent ${opener.dataset.user}`;
  const input = make("input", {
    type: "text", role: "combobox", "aria-label": "Find", "aria-expanded": "true", "aria-controls": "found", "aria-autocomplete": "list",
    placeholder: "A page, a task ID, a name, or an action such as pause emails", autocomplete: "off", autocapitalize: "off", spellcheck: "false", maxlength: "200",
  });
  const list = make("ul", { id: "found", class: "found", role: "listbox", "aria-label": "Results" });
  const none = make("p", { class: "none", role: "status" });
  const footer = make("footer", {}, "↑ ↓ choose · Enter opens · Ctrl Enter opens in a new tab · Esc closes");
  const dialog = make("dialog", { class: "palette", "aria-label": "Find" }, make("div", { class: "query" }, input), list, none, footer);
  let items = [];
  let chosen = 0;
  let timer = 0;
  let request = null;
  let looking = null;

  function choose(index) {
    chosen = items.length ? (index + items.length) % items.length : 0;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", at === chosen ? "true" : "false"));
    const option = list.children[chosen];
    if (option) input.setAttribute("aria-activedescendant", option.id); else input.removeAttribute("aria-activedescendant");
    option?.scrollIntoView({ block: "nearest" });
  }

  function draw(found) {
    items = found;
    list.replaceChildren(...items.map((item, index) => {
      const option = make("li", { id: `found-${index}`, role: "option", class: "hit" },
        make("span", { class: "kind" }, item.kind), make("span", { class: "text", title: item.text }, item.text), make("span", { class: "note cut" }, item.note));
      option.addEventListener("pointermove", () => { if (chosen !== index) choose(index); });
      option.addEventListener("click", (event) => go(item, event.ctrlKey || event.metaKey));
      option.addEventListener("auxclick", (event) => { if (event.button === 1) go(item, true); });
      return option;
    }));
    none.hidden = items.length > 0;
    none.textContent = "Nothing found. Words in arguments and results are found on Tasks.";
    choose(0);
  }

  function go(item, inNewTab = false) {
    if (!item) return;
    if (item.element) {
      dialog.close();
      item.element.click();
      return;
    }
    remember(key, item);
    if (inNewTab) { window.open(item.href, "_blank", "noopener"); return; }
    dialog.close();
    location.assign(item.href);
  }

  async function look() {
    const text = input.value.trim();
    request?.abort();
    request = new AbortController();
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    try {
      const answer = await fetch(`/find/results?q=${encodeURIComponent(text)}`, { signal: request.signal, headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.status === 401 ? "Your session has ended. Reload the page to sign in." : "The server did not answer.");
      const { results } = await answer.json();
      const known = recent(key);
      const isKnown = (item) => known.some((other) => other.href === item.href);
      if (words.length) {
        results.sort((a, b) => a.rank - b.rank || isKnown(b) - isKnown(a));
        draw([...onPage(words), ...results]);
      } else {
        draw([...known, ...onPage(words), ...results.filter((item) => !isKnown(item))]);
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      draw([]);
      none.textContent = error.message;
    }
  }

  // Enter opens what belongs to the text in the field, also where its answer has not arrived yet.
  async function enter(inNewTab) {
    if (timer) begin();
    await looking;
    go(items[chosen], inNewTab);
  }

  function begin() {
    clearTimeout(timer);
    timer = 0;
    looking = look();
  }

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(begin, WAIT_MS); });
  dialog.addEventListener("keydown", (event) => {
    const isCommand = event.ctrlKey || event.metaKey;
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter") enter(isCommand);
    else if (event.key === "Tab") input.focus(); // the field is the only control
    else if (isCommand && event.key.toLowerCase() === "k") dialog.close();
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("close", () => request?.abort());
  show(dialog);
  input.focus();
  begin();
}

// -- the list of keys -------------------------------------------------------------------------------------------------------
export async function openKeys(opener = document.querySelector("[data-palette]")) {
  withStyles(opener);
  const answer = await fetch("/keys");
  const section = answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#keys") : null;
  if (!section) { location.assign("/keys"); return; }
  const close = make("button", { class: "btn quiet", type: "button" }, "Close");
  const dialog = make("dialog", { class: "keys", "aria-label": "Keys" }, document.importNode(section, true));
  dialog.querySelector("header").append(make("span", { class: "grow" }), close);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => { if (event.key === "?") dialog.close(); });
  show(dialog);
}
