// One drawn face: its parts are made once and only moved afterwards. `drawn` names the channels of a frame, `range` what a byte spans.
const faces = (drawn, range) => {
  "use strict";
  const width = drawn.length;
  const P = Object.fromEntries(drawn.map((name, i) => [name, i]));
  const value = (motion, t, p) => (motion[t * width + p] / 127) * range[p];
  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
  const element = (name, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, text] of Object.entries(attributes)) made.setAttribute(key, text);
    made.append(...children);
    return made;
  };

  function face(label) {
    const part = {};
    const add = (name, tag, attributes) => (part[name] = element(tag, attributes));
    const eye = (side) => element("g", {},
      add("white" + side, "ellipse", { fill: "var(--white)", stroke: "var(--hair)", "stroke-width": 1 }),
      add("pupil" + side, "circle", { r: 3.4, fill: "var(--pupil)" }),
      add("lid" + side, "path", { fill: "none", stroke: "var(--hair)", "stroke-width": 2.2, "stroke-linecap": "round" }));
    const features = element("g", {},
      add("cheekL", "circle", { r: 9, fill: "var(--lip)" }), add("cheekR", "circle", { r: 9, fill: "var(--lip)" }),
      eye("L"), eye("R"),
      add("browL", "path", { fill: "none", stroke: "var(--hair)", "stroke-width": 4, "stroke-linecap": "round" }),
      add("browR", "path", { fill: "none", stroke: "var(--hair)", "stroke-width": 4, "stroke-linecap": "round" }),
      add("nose", "path", { fill: "none", stroke: "var(--hair)", "stroke-width": 1.6, "stroke-linecap": "round", opacity: 0.7 }),
      add("mouth", "path", { fill: "var(--mouth)", stroke: "var(--lip)", "stroke-linejoin": "round" }));
    part.head = element("g", {}, add("skull", "ellipse", { fill: "var(--skin)", stroke: "var(--hair)", "stroke-width": 2 }),
      add("hair", "path", { fill: "var(--hair)" }), features);
    part.features = features;
    const root = element("svg", { viewBox: "-18 -8 156 156", role: "img", "aria-label": label }, part.head);
    if ("movement" in P) {  // how much the body moves: a bar that fills from below
      root.append(element("rect", { x: 122, y: 12, width: 10, height: 120, fill: "none", stroke: "var(--s8)" }), add("movement", "rect", { x: 122, width: 10, fill: "var(--s1)" }));
    }
    return { root, part };
  }

  function pose({ part }, motion, t) {
    const v = (name) => value(motion, t, P[name]);
    const [yaw, pitch, roll] = [clamp(v("yaw"), -0.9, 0.9), clamp(v("pitch"), -0.9, 0.9), clamp(v("roll"), -0.9, 0.9)];
    const [smile, brow, frown, sad] = ["smile", "brow", "frown", "sadness"].map((n) => clamp(v(n), -1.5, 1.5));
    const jaw = clamp(v("jaw"), 0, 1.4), round = clamp(v("round"), -0.6, 1.2), press = clamp(v("press"), -0.5, 1.2);
    const set = (name, attributes) => { for (const [k, x] of Object.entries(attributes)) part[name].setAttribute(k, x); };
    part.head.setAttribute("transform", `translate(${(yaw * 10).toFixed(2)} ${(pitch * 12).toFixed(2)}) rotate(${(roll * 57.3).toFixed(2)} 60 110)`);
    part.features.setAttribute("transform", `translate(${(yaw * 24).toFixed(2)} ${(pitch * 20).toFixed(2)})`);
    const chin = 52 + 5 * jaw;
    if (part.movement) {
      const filled = 120 * clamp(v("movement") / range[P.movement], 0, 1);
      set("movement", { y: (132 - filled).toFixed(1), height: filled.toFixed(1) });
    }
    set("skull", { cx: 60, cy: 70 + 2.5 * jaw, rx: 42, ry: chin });
    set("hair", { d: `M19 62 C18 22 42 14 60 14 S102 22 101 62 C${(92 + yaw * 8).toFixed(1)} ${(38 + pitch * 10).toFixed(1)} ${(28 + yaw * 8).toFixed(1)} ${(38 + pitch * 10).toFixed(1)} 19 62 Z` });
    const open = clamp(1 + 0.2 * brow - 0.35 * Math.max(v("lid"), 0) - 1.1 * Math.max(v("blink"), 0), 0, 1.3);
    const look = clamp(v("gaze"), -1, 1) * 4;
    for (const [side, x, sign] of [["L", 44, -1], ["R", 76, 1]]) {
      const ry = 6.5 * open;
      set("white" + side, { cx: x, cy: 64, rx: 8, ry: ry.toFixed(2), opacity: open < 0.12 ? 0 : 1 });
      set("pupil" + side, { cx: x + look, cy: 64, r: Math.min(3.4, ry).toFixed(2), opacity: open < 0.12 ? 0 : 1 });
      set("lid" + side, { d: `M${x - 8} 64 Q${x} ${(64 - 2 * ry).toFixed(2)} ${x + 8} 64` });
      const high = 50 - 6 * brow + 2.5 * Math.max(frown, 0);
      const inner = high + 4 * Math.max(frown, 0) - 4 * Math.max(sad, 0);
      set("brow" + side, { d: `M${x + sign * 10} ${(high + 1).toFixed(2)} Q${x + sign * 2} ${(high - 4).toFixed(2)} ${(x - sign * (8 + 1.5 * Math.max(frown, 0))).toFixed(2)} ${inner.toFixed(2)}` });
      set("cheek" + side, { cx: 60 + sign * 25, cy: 86, opacity: clamp(0.35 * v("cheek"), 0, 0.45).toFixed(3) });
    }
    set("nose", { d: `M60 68 Q${(57 + yaw * 8).toFixed(1)} 82 60 83` });
    const half = clamp(15 + 5 * smile - 7 * round, 5, 26), corner = 101 - 6 * smile + 6 * Math.max(sad, 0), gap = 13 * jaw;
    const upper = 101 + 2.5 * smile - gap * 0.25, lower = 101 + 4.5 * smile + gap * 1.7 + 1;
    set("mouth", {
      d: `M${60 - half} ${corner.toFixed(2)} Q60 ${upper.toFixed(2)} ${60 + half} ${corner.toFixed(2)} Q60 ${lower.toFixed(2)} ${60 - half} ${corner.toFixed(2)} Z`,
      "stroke-width": clamp(3.4 - 1.8 * press, 1, 4.5).toFixed(2),
    });
  }

  return { face, pose, value, element, clamp };
};
