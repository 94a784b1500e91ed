// @ts-check
// Pure geometry: pixels of the photo, of the canvas and of the screen. Tested by tests/page/web.

export const MOST_ZOOM = 16;

/** Unpack runs of (row, length) into a map.
 * @param {import('./types.js').Hover} hover
 * @returns {import('./types.js').HoverMap} */
export function unpackHover(hover) {
  const map = new Int32Array(hover.width * hover.height);
  let at = 0;
  for (let k = 0; k < hover.runs.length; k += 2) {
    map.fill(hover.runs[k], at, at + hover.runs[k + 1]);
    at += hover.runs[k + 1];
  }
  return { ...hover, map };
}

/** The mask that a first click at a pixel means; -1 if there is none.
 * @param {{width: number, height: number, hover: import('./types.js').HoverMap} | null} scene
 * @param {number} x
 * @param {number} y */
export function maskAt(scene, x, y) {
  if (!scene || x < 0 || y < 0 || x >= scene.width || y >= scene.height) return -1;
  const { width, height, step, map } = scene.hover;
  return map[Math.min(Math.floor(y / step), height - 1) * width + Math.min(Math.floor(x / step), width - 1)];
}

/** The largest size of a photo within a width and a height.
 * @param {{width: number, height: number}} scene
 * @param {number} width
 * @param {number} height */
export function fitted(scene, width, height) {
  const wide = Math.min(width, height * scene.width / scene.height);
  return { width: wide, height: wide * scene.height / scene.width };
}

/** The pixel of the photo under a place on the screen, rounded to a tenth, inside the photo.
 * @param {{width: number, height: number}} scene
 * @param {import('./types.js').View} view
 * @param {import('./types.js').Rectangle} box of the canvas on the screen
 * @param {number} x
 * @param {number} y
 * @returns {import('./types.js').Point} */
export function pixelAt(scene, view, box, x, y) {
  const clip = (/** @type {number} */ value, /** @type {number} */ most) =>
    Math.round(Math.min(Math.max(value, 0), most - 0.1) * 10) / 10;
  return [
    clip(view.x + (x - box.left) / box.width * scene.width / view.zoom, scene.width),
    clip(view.y + (y - box.top) / box.height * scene.height / view.zoom, scene.height),
  ];
}

/** A view that shows nothing beyond the photo.
 * @param {{width: number, height: number}} scene
 * @param {import('./types.js').View} view
 * @returns {import('./types.js').View} */
export function inside(scene, view) {
  const zoom = Math.min(Math.max(view.zoom, 1), MOST_ZOOM);
  const clip = (/** @type {number} */ value, /** @type {number} */ side) =>
    Math.min(Math.max(value, 0), side - side / zoom);
  return { zoom, x: clip(view.x, scene.width), y: clip(view.y, scene.height) };
}

/** A view closer by a factor, in which a pixel of the photo stays where it is.
 * @param {{width: number, height: number}} scene
 * @param {import('./types.js').View} view
 * @param {number} factor
 * @param {import('./types.js').Point} at
 * @returns {import('./types.js').View} */
export function zoomed(scene, view, factor, at) {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
  const kept = view.zoom / zoom;
  return inside(scene, { zoom, x: at[0] - (at[0] - view.x) * kept, y: at[1] - (at[1] - view.y) * kept });
}

/** The middle of what a view shows.
 * @param {{width: number, height: number}} scene
 * @param {import('./types.js').View} view
 * @returns {import('./types.js').Point} */
export function middle(scene, view) {
  return [view.x + scene.width / view.zoom / 2, view.y + scene.height / view.zoom / 2];
}

/** Whether two rectangles share a place.
 * @param {import('./types.js').Rectangle} a
 * @param {import('./types.js').Rectangle} b */
export function overlap(a, b) {
  return a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
}

/** How far apart two points are.
 * @param {import('./types.js').Point} a
 * @param {import('./types.js').Point} b */
export function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

/** A stroke with at most so many of its points, the last one among them.
 * @param {import('./types.js').Point[]} xy
 * @param {number} most */
export function thinned(xy, most) {
  if (xy.length <= most) return xy;
  const every = Math.ceil(xy.length / (most - 1));
  return xy.filter((_, k) => k % every === 0 || k === xy.length - 1);
}
