"use strict";
// Figures are drawn when they come into sight: a page may hold many, and those that are folded away have no width.
(() => {
  const CONFIG = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d"]],  // and none that sends figures to anybody
  };
  const LETTER = 7, KEY = 48, LINE = 21;  // pixels: a letter of the legend, the picture before it, a line of it
  const PER_INCH = 96;
  const PRINT = { family: "Arial, Helvetica, sans-serif", size: 10 };

  // The legend takes as many lines as its entries need in this width, and the figure grows by them.
  const legendLines = (data, width) => {
    const entries = data.filter((trace) => trace.name && trace.showlegend !== false);
    const parts = entries.map((trace) => trace.name.split("<br>"));
    const longest = Math.max(1, ...parts.flat().map((part) => part.length * LETTER + KEY));
    const perLine = Math.max(1, Math.floor((width - 70) / longest));
    const tallest = Math.max(1, ...parts.map((lines) => lines.length));
    return Math.ceil(entries.length / perLine) * tallest;
  };

  // A name that is wider than the figure is broken between words.
  const folded = (name, width) => {
    const most = (width - 30 - KEY) / LETTER;
    let length = 0;
    return name.split(" ").reduce((lines, word) => {
      const fits = length + word.length < most;
      length = fits ? length + word.length + 1 : word.length;
      return lines + (lines && !fits ? "<br>" : lines ? " " : "") + word;
    }, "");
  };

  const figureOf = (box, width) => {
    const { data, layout } = JSON.parse(box.querySelector("script").textContent);
    for (const trace of data) if (trace.name) trace.name = folded(trace.name, width);
    layout.height = Number(box.dataset.height) + LINE * legendLines(data, width);
    return { data, layout };
  };

  const draw = (box) => {
    const place = box.querySelector(".plot");
    if (place.dataset.drawn || !place.clientWidth) return;
    place.dataset.drawn = "yes";
    const { data, layout } = figureOf(box, place.clientWidth);
    // A finger that moves over a figure scrolls the page.
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    Plotly.newPlot(place, data, layout, CONFIG);
  };

  // As it stands there: what is zoomed stays zoomed, what is hidden stays hidden.
  const keepView = (place, { data, layout }) => {
    if (!place.layout) return;
    for (const axis of ["xaxis", "yaxis"]) layout[axis].range = [...place.layout[axis].range];
    data.forEach((trace, index) => { trace.visible = place.data[index].visible; });
  };

  const saveSvg = (box, inches) => {
    const width = Math.round(inches * PER_INCH);
    const { data, layout } = figureOf(box, width);
    keepView(box.querySelector(".plot"), { data, layout });
    layout.font = { ...layout.font, ...PRINT };
    const name = `${box.dataset.name}_${inches}in`;
    Plotly.downloadImage({ data, layout }, { format: "svg", width, height: layout.height, filename: name });
  };

  const boxes = [...document.querySelectorAll("figure[data-name]")];
  const drawAll = () => boxes.forEach(draw);
  const sight = new IntersectionObserver(
    (seen) => seen.filter((one) => one.isIntersecting).forEach((one) => draw(one.target)),
    { rootMargin: "600px" },
  );
  for (const box of boxes) {
    sight.observe(box);
    for (const button of box.querySelectorAll("button[data-inches]")) {
      button.addEventListener("click", () => saveSvg(box, Number(button.dataset.inches)));
    }
  }
  window.addEventListener("beforeprint", drawAll);
})();
