"use strict";
/* Light or dark: the reader's choice, else the system's; pages hear of a change by the event `theme`. */
(() => {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = sessionStorage.getItem("theme");
  const apply = () => {
    root.dataset.theme = chosen ?? (system.matches ? "dark" : "light");
    dispatchEvent(new Event("theme"));
  };
  system.addEventListener("change", apply);
  addEventListener("DOMContentLoaded", () => document.getElementById("theme").addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    sessionStorage.setItem("theme", chosen);
    apply();
  }));
  apply();
})();
