"use strict";
// Theme: the reader's choice, else the system's.
const root = document.documentElement;
const stored = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
root.dataset.theme = stored || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a private window */ }
  });
  search(document.querySelector(".search input"), document.querySelector(".found"));
  diagram(document.querySelector("svg"));
});

// What can be found: [name, place, words], given by the page or read from its rows.
function entries() {
  const given = document.getElementById("index");
  if (given) return JSON.parse(given.textContent);
  return [...document.querySelectorAll("[data-words]")].map((one) => [one.dataset.name, "#" + one.id, one.dataset.words]);
}

function search(input, list) {
  let all = null, chosen = 0;
  const worth = ([name], words) => words.reduce((sum, word) => {
    const last = name.slice(name.lastIndexOf(".") + 1);
    return sum + (last === word ? 8 : last.startsWith(word) ? 4 : name.includes(word) ? 2 : 0);
  }, 0);
  const choose = (place) => {
    const links = list.querySelectorAll("a");
    chosen = Math.max(0, Math.min(place, links.length - 1));
    links.forEach((link, index) => link.classList.toggle("chosen", index === chosen));
    links[chosen]?.scrollIntoView({ block: "nearest" });
  };
  const show = () => {
    all ??= entries();
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren();
    list.style.top = `${input.getBoundingClientRect().bottom}px`;  // the sidebar would cut it off if it were inside
    if (!words.length) return;
    const hits = all.filter(([name, , text]) => words.every((word) => (name + " " + text).toLowerCase().includes(word)));
    hits.sort((one, other) => worth(other, words) - worth(one, words) || one[0].length - other[0].length);
    for (const [name, place, text] of hits.slice(0, 40)) {
      const link = Object.assign(document.createElement("a"), { href: place });
      link.append(Object.assign(document.createElement("code"), { textContent: name }));
      link.append(Object.assign(document.createElement("small"), { textContent: text }));
      list.append(link);
    }
    const note = hits.length ? hits.length > 40 ? `${hits.length} found; the first 40 are shown` : "" : "Nothing found";
    if (note) list.append(Object.assign(document.createElement("p"), { textContent: note }));
    choose(0);
  };
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter") list.querySelector("a.chosen")?.click();
    else if (event.key === "Escape") { input.value = ""; show(); } else return;
    event.preventDefault();
  });
  list.addEventListener("click", () => { input.value = ""; list.replaceChildren(); });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== input) { event.preventDefault(); input.focus(); }
  });
}

// The links of the box under the pointer, the long ones too.
function diagram(svg) {
  svg?.querySelectorAll("g.box").forEach((box) => {
    const edges = svg.querySelectorAll(`path[data-ends~="${box.dataset.box}"]`);
    for (const [event, lit] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]])
      box.addEventListener(event, () => edges.forEach((edge) => edge.classList.toggle("lit", lit)));
  });
}
