// @ts-check
// Drawing: the photo, masks and objects as paths in pixels of the photo, prompts, what is under the pointer.
import { distance, fitted, overlap } from './geometry.js';

const ADD = '#22c55e', TAKE = '#ef4444', UNNUMBERED = '#f59e0b';
const MOST_OF_WINDOW = 0.62; // of its height, for the photo
const LEAST_PX = { width: 50, height: 220 };
const SHARPEST = 2; // pixels of the canvas for one of the screen
const NEAR_PX = 3; // of the screen: the pointer is still where it was asked about
const CHECKER_PX = 12;

/** Outlines as a path.
 * @param {number[][]} rings
 * @returns {Path2D} */
export function pathOf(rings) {
  const path = new Path2D();
  for (const ring of rings) {
    for (let k = 0; k < ring.length; k += 2) {
      if (k === 0) path.moveTo(ring[0], ring[1]);
      else path.lineTo(ring[k], ring[k + 1]);
    }
    path.closePath();
  }
  return path;
}

/** Masks or objects with their paths.
 * @template {{rings: number[][], path?: Path2D}} T
 * @param {T[]} shapes
 * @returns {T[]} */
export function withPaths(shapes) {
  return shapes.map(shape => ({ ...shape, path: pathOf(shape.rings) }));
}

/** The color of a mask.
 * @param {import('./types.js').Render} render
 * @param {number} row */
export function colorOf(render, row) {
  return render.colors[row] || UNNUMBERED; // a mask that is none of everything
}

/** Paints the canvas whenever the store changes.
 * @param {HTMLElement} root
 * @param {import('./store.js').Store} store */
export function makeDrawing(root, store) {
  const canvas = /** @type {HTMLCanvasElement} */ (root.querySelector('.fs-canvas'));
  const background = document.createElement('canvas'); // photo and masks, kept between moves of the pointer

  /** @param {HTMLCanvasElement} of */
  const contextOf = of => /** @type {CanvasRenderingContext2D} */ (of.getContext('2d'));

  // As wide as there is room, and no higher than most of the window.
  function fit() {
    const { scene } = store;
    if (!scene) return;
    const size = fitted(scene, Math.max(root.clientWidth - 2, LEAST_PX.width),
      Math.max(window.innerHeight * MOST_OF_WINDOW, LEAST_PX.height));
    canvas.style.width = size.width + 'px';
    canvas.style.height = size.height + 'px';
    const dense = Math.min(window.devicePixelRatio || 1, SHARPEST);
    canvas.width = background.width = Math.max(Math.round(size.width * dense), 1);
    canvas.height = background.height = Math.max(Math.round(size.height * dense), 1);
    paintBackground();
  }

  /** Draw in pixels of the photo; return one pixel of the screen in them.
   * @param {CanvasRenderingContext2D} context
   * @param {import('./types.js').Scene} scene */
  function inPhoto(context, scene) {
    const { view } = store, scale = canvas.width / scene.width * view.zoom;
    context.setTransform(scale, 0, 0, scale, -view.x * scale, -view.y * scale);
    return Math.min(window.devicePixelRatio || 1, SHARPEST) / scale;
  }

  function paintBackground() {
    const { scene, answer } = store;
    if (!scene) return;
    const context = contextOf(background);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, background.width, background.height);
    if (answer.picture) paintCheckers(context);
    const px = inPhoto(context, scene);
    context.drawImage(answer.picture || scene.photo, 0, 0, scene.width, scene.height);
    if (!answer.picture) {
      for (const mask of answer.masks) paintMask(context, mask, px);
      for (const object of answer.objects) paintObject(context, object, px);
      /** @type {import('./types.js').Rectangle[]} */
      const taken = []; // by captions: one that would cover another is left out, and seen under the pointer
      for (const object of answer.objects) {
        paintCaption(context, scene, object.id + (object.name ? ' ' + object.name : ''), object.at, px, taken, object.color);
      }
      for (const mask of answer.masks) paintCaption(context, scene, captionOf(mask), mask.at, px, taken);
    }
    paint();
  }

  /** Paint what lies behind transparent pixels.
   * @param {CanvasRenderingContext2D} context */
  function paintCheckers(context) {
    context.fillStyle = '#fff';
    context.fillRect(0, 0, background.width, background.height);
    context.fillStyle = '#ddd';
    for (let y = 0; y < background.height; y += CHECKER_PX) {
      for (let x = (y / CHECKER_PX) % 2 * CHECKER_PX; x < background.width; x += 2 * CHECKER_PX) {
        context.fillRect(x, y, CHECKER_PX, CHECKER_PX);
      }
    }
  }

  /** @param {CanvasRenderingContext2D} context
   * @param {import('./types.js').Mask} mask
   * @param {number} px */
  function paintMask(context, mask, px) {
    const { render } = store, color = colorOf(render, mask.row);
    if (!mask.path) return;
    context.globalAlpha = render.alpha;
    context.fillStyle = color;
    context.fill(mask.path, 'evenodd');
    context.globalAlpha = 1;
    if (render.contours) {
      stroke(context, mask.path, color, 3 * px);
      stroke(context, mask.path, 'rgba(255,255,255,.75)', px);
    }
    if (render.boxes) {
      context.strokeStyle = color;
      context.lineWidth = 2 * px;
      context.strokeRect(mask.box[0], mask.box[1], mask.box[2] - mask.box[0], mask.box[3] - mask.box[1]);
    }
  }

  /** @param {CanvasRenderingContext2D} context
   * @param {import('./types.js').KeptObject} object
   * @param {number} px */
  function paintObject(context, object, px) {
    if (!object.path) return;
    context.globalAlpha = store.render.alpha;
    context.fillStyle = object.color;
    context.fill(object.path, 'evenodd');
    context.globalAlpha = 1;
    stroke(context, object.path, '#000', 4 * px);
    stroke(context, object.path, object.color, 2.5 * px);
  }

  /** @param {CanvasRenderingContext2D} context
   * @param {Path2D} path
   * @param {string} color
   * @param {number} width */
  function stroke(context, path, color, width) {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.stroke(path);
  }

  /** @param {import('./types.js').Mask} mask */
  function captionOf(mask) {
    const words = [];
    if (store.answer.captions && mask.label && mask.label !== 'unknown') words.push(mask.label);
    if (store.render.scores) words.push(mask.score.toFixed(2));
    return words.join(' ');
  }

  /** @param {CanvasRenderingContext2D} context
   * @param {import('./types.js').Scene} scene
   * @param {string} text
   * @param {number[]} at
   * @param {number} px
   * @param {import('./types.js').Rectangle[]} taken
   * @param {string} [color] */
  function paintCaption(context, scene, text, at, px, taken, color = '#fff') {
    if (!text) return;
    context.font = 12 * px + 'px sans-serif';
    const width = context.measureText(text).width + 8 * px;
    const x = Math.min(Math.max(at[0] - width / 2, 0), Math.max(scene.width - width, 0));
    const y = Math.min(Math.max(at[1] - 8 * px, 0), Math.max(scene.height - 17 * px, 0));
    const place = { left: x, top: y, width, height: 17 * px };
    if (taken.some(other => overlap(other, place))) return;
    taken.push(place);
    context.fillStyle = 'rgba(0,0,0,.75)';
    context.fillRect(x, y, width, 17 * px);
    context.fillStyle = color;
    context.fillText(text, x + 4 * px, y + 13 * px);
  }

  function paint() {
    const { scene, answer, gesture } = store;
    if (!scene) return;
    const context = contextOf(canvas);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(background, 0, 0);
    const px = inPhoto(context, scene);
    const lit = litPath(px);
    if (lit && !(gesture && gesture.xy.length)) {
      context.fillStyle = 'rgba(255,255,255,.38)';
      context.fill(lit, 'evenodd');
      stroke(context, lit, '#000', 4 * px);
      stroke(context, lit, '#fff', 2 * px);
    }
    if (!answer.picture) for (const mark of answer.marks) paintMark(context, scene, mark, px);
    if (gesture && gesture.xy.length) paintMark(context, scene, gesture, px);
    if (store.cursor) paintCursor(context, store.cursor, px);
  }

  /** What lights up: the mask chosen in the table, else what a click at the pointer would select.
   * @param {number} px
   * @returns {Path2D | null} */
  function litPath(px) {
    const { scene, answer, peek, pointer, selectedRow, hoveredRow } = store;
    if (selectedRow === null && peek && pointer && distance(peek.xy, pointer) <= NEAR_PX * px) return peek.path;
    const row = selectedRow === null ? hoveredRow : selectedRow;
    const mask = row < 0 ? null : answer.masks.find(one => one.row === row) || (scene && scene.masks[row]);
    return mask && mask.path || null;
  }

  /** @param {CanvasRenderingContext2D} context
   * @param {import('./types.js').Point} at
   * @param {number} px */
  function paintCursor(context, at, px) {
    const cross = new Path2D();
    for (const [dx, dy] of [[14 * px, 0], [0, 14 * px]]) {
      cross.moveTo(at[0] - dx, at[1] - dy);
      cross.lineTo(at[0] + dx, at[1] + dy);
    }
    stroke(context, cross, '#000', 4 * px);
    stroke(context, cross, '#fff', 2 * px);
  }

  /** @param {CanvasRenderingContext2D} context
   * @param {import('./types.js').Scene} scene
   * @param {{kind: string, sign: string, xy: import('./types.js').Point[]}} mark
   * @param {number} px */
  function paintMark(context, scene, mark, px) {
    const color = mark.sign === 'take' ? TAKE : ADD, { kind, xy } = mark;
    if (!xy || !xy.length || kind === 'press') return;
    context.lineJoin = context.lineCap = 'round';
    if (kind === 'point') return paintPoint(context, xy[0], mark.sign, color, px);
    const path = new Path2D();
    if (kind === 'box') {
      const [[x1, y1], [x2, y2]] = [xy[0], xy[xy.length - 1]];
      path.rect(Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1));
    } else {
      xy.forEach(([x, y], k) => k ? path.lineTo(x, y) : path.moveTo(x, y));
      if (xy.length === 1) path.lineTo(xy[0][0] + 0.1, xy[0][1]);
      if (kind === 'outline') path.closePath();
    }
    const width = kind === 'scribble' ? Math.max(scene.brush, 4 * px) : 3 * px;
    context.globalAlpha = kind === 'scribble' ? 0.5 : 1;
    stroke(context, path, '#fff', width + 2 * px);
    stroke(context, path, color, width);
    context.globalAlpha = 1;
  }

  /** @param {CanvasRenderingContext2D} context
   * @param {import('./types.js').Point} at
   * @param {string} sign
   * @param {string} color
   * @param {number} px */
  function paintPoint(context, [x, y], sign, color, px) {
    const radius = 7 * px, disc = new Path2D(), cross = new Path2D();
    disc.arc(x, y, radius, 0, 7);
    context.fillStyle = color;
    context.fill(disc);
    stroke(context, disc, '#fff', 2 * px);
    cross.moveTo(x - radius / 2, y);
    cross.lineTo(x + radius / 2, y);
    if (sign !== 'take') { cross.moveTo(x, y - radius / 2); cross.lineTo(x, y + radius / 2); }
    stroke(context, cross, '#fff', 2 * px);
  }

  store.watch(['scene'], fit);
  store.watch(['answer', 'render', 'view'], paintBackground);
  store.watch(['hoveredRow', 'selectedRow', 'peek', 'pointer', 'gesture', 'cursor'], paint);
  return { fit };
}
