"use strict";
/* A slider over frames of time, with a button that plays them. */
(() => {
  const FRAME_MS = 450;
  page.sliders = {};
  /* `label(frame)` is said beside the slider, `show(frame)` draws. */
  page.slider = (name, { count, first, label, show }) => {
    const box = document.querySelector(`[data-slider="${name}"]`);
    if (!box) return;
    const input = box.querySelector("input"), said = box.querySelector("output"), play = box.querySelector("button");
    let timer = null;
    input.max = count - 1;
    input.value = first;
    const move = (draws) => {
      const frame = Number(input.value);
      page.sliders[name] = frame;
      said.textContent = label(frame);
      input.setAttribute("aria-valuetext", label(frame));
      if (draws) show(frame);
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = "▶";
      play.setAttribute("aria-pressed", "false");
      play.setAttribute("aria-label", "Play");
    };
    play.addEventListener("click", () => {
      if (timer !== null) return stop();
      if (Number(input.value) === count - 1) input.value = 0;
      play.textContent = "❚❚";
      play.setAttribute("aria-pressed", "true");
      play.setAttribute("aria-label", "Pause");
      timer = setInterval(() => {
        if (Number(input.value) >= count - 1) return stop();
        input.value = Number(input.value) + 1;
        move(true);
      }, FRAME_MS);
    });
    input.addEventListener("input", () => move(true));
    move(false);
  };
  /* From one time to another as a slider says it. */
  page.spanOf = (frame, frame_s) => {
    const from = (page.data.time.start_s + frame * frame_s) * 1000;
    return `${page.day(from)}, ${page.clock(from)} – ${page.clock(from + frame_s * 1000)}`;
  };
})();
