// @ts-check
// The pointer and the keyboard: a click is a point, a drag is a box, a stroke, an outline, or moves the photo.
import { pathOf } from './draw.js';
import { distance, inside, maskAt, middle, pixelAt, thinned, zoomed } from './geometry.js';
import { describe } from './masks.js';

const DRAG_PX = 5; // of the screen: a click may wander this far before it is a drag
const MOST_POINTS = 400; // of a stroke
const REST_MS = 90; // the pointer rests: ask what exactly a click would select
const ZOOM_STEP = 1.5, ZOOM_PER_WHEEL = 0.0025;
const CURSOR_STEP = 1 / 100, CURSOR_SHIFT = 8; // of the longer side; times as far with Shift
/** @type {Record<string, import('./types.js').Tool>} */
const TOOLS = { p: 'point', b: 'box', s: 'scribble', o: 'outline' };
/** @type {Record<string, import('./types.js').Point>} */
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LEVELS = ['whole', 'part', 'subpart'];

/** @param {HTMLElement} root
 * @param {import('./store.js').Store} store
 * @param {import('./types.js').Host} host
 * @param {{act: (what: object) => void}} page */
export function makeInput(root, store, host, page) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (root.querySelector(selector));
  const canvas = /** @type {HTMLCanvasElement} */ (find('.fs-canvas'));
  const stage = find('.fs-stage'), tip = find('.fs-tip');
  /** @type {Map<number, import('./types.js').Point>} */
  const fingers = new Map(); // on the canvas, by their id
  let resting = 0; // the timer
  let spaced = false; // the space bar is held

  const screen = (/** @type {MouseEvent} */ event) => /** @type {import('./types.js').Point} */ ([event.clientX, event.clientY]);
  const signOf = (/** @type {PointerEvent} */ event) =>
    event.button === 2 || event.ctrlKey || event.metaKey ? 'take' : store.sign;

  /** @param {import('./types.js').Point} at on the screen */
  function pixel(at) {
    return pixelAt(/** @type {import('./types.js').Scene} */ (store.scene), store.view,
      canvas.getBoundingClientRect(), at[0], at[1]);
  }

  /** @param {string} kind
   * @param {import('./types.js').Point[]} xy
   * @param {import('./types.js').Sign} sign */
  function mark(kind, xy, sign) {
    // Shown at once; the answer brings the true list.
    const marks = [...store.answer.marks, { id: -1, kind, sign, xy, words: '' }];
    store.update({ peek: null, answer: { ...store.answer, marks } });
    page.act({ do: 'mark', kind, xy, sign });
  }

  // ---- zoom and pan

  /** @param {number} factor
   * @param {import('./types.js').Point} [at] pixel of the photo that stays where it is */
  function zoom(factor, at) {
    if (!store.scene) return;
    store.update({ view: zoomed(store.scene, store.view, factor, at || middle(store.scene, store.view)) });
  }

  /** @param {import('./types.js').Point} from on the screen
   * @param {import('./types.js').Point} to */
  function pan(from, to) {
    const { scene, view } = store;
    if (!scene) return;
    const px = scene.width / view.zoom / canvas.getBoundingClientRect().width;
    const moved = { zoom: view.zoom, x: view.x - (to[0] - from[0]) * px, y: view.y - (to[1] - from[1]) * px };
    store.update({ view: inside(scene, moved) });
  }

  /** Two fingers: zoom by their distance, pan by their middle.
   * @param {number} id
   * @param {import('./types.js').Point} to */
  function pinch(id, to) {
    const before = [...fingers.values()];
    fingers.set(id, to);
    const after = [...fingers.values()];
    const center = (/** @type {import('./types.js').Point[]} */ two) =>
      /** @type {import('./types.js').Point} */ ([(two[0][0] + two[1][0]) / 2, (two[0][1] + two[1][1]) / 2]);
    pan(center(before), center(after));
    zoom(distance(after[0], after[1]) / Math.max(distance(before[0], before[1]), 1), pixel(center(after)));
  }

  // ---- what lights up

  /** @param {PointerEvent} event
   * @param {import('./types.js').Point} at */
  function hover(event, at) {
    clearTimeout(resting);
    delete root.dataset.peek;
    const touch = event.pointerType === 'touch';
    store.update({ hoveredRow: touch ? -1 : maskAt(store.scene, ...at), pointer: touch ? null : at });
    showTip(event);
    if (touch || store.gesture || store.tool !== 'point') return;
    const sign = store.sign;
    resting = window.setTimeout(() => {
      host.trigger('peek', { xy: at, sign, scene: store.scene ? store.scene.id : '' });
    }, REST_MS);
  }

  /** @param {import('./types.js').PeekMessage} message */
  function peeked(message) {
    store.update({ peek: { xy: message.xy, path: pathOf(message.rings) } });
    root.dataset.peek = String(message.rings.flat().length); // for tests
  }

  /** @param {PointerEvent} event */
  function showTip(event) {
    const { scene, answer, hoveredRow } = store;
    tip.hidden = hoveredRow < 0 || store.gesture !== null;
    if (tip.hidden || !scene) return;
    tip.textContent = describe(answer.masks.find(one => one.row === hoveredRow) || scene.masks[hoveredRow]);
    const box = stage.getBoundingClientRect();
    tip.style.left = Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth - 4) + 'px';
    tip.style.top = Math.max(event.clientY - box.top - 28, 2) + 'px';
  }

  // ---- gestures

  /** @param {PointerEvent} event */
  function press(event) {
    if (!store.scene) return;
    const touch = event.pointerType === 'touch', at = screen(event);
    if (touch) fingers.set(event.pointerId, at);
    clearTimeout(resting);
    /** @type {import('./types.js').Gesture} */
    const gesture = { kind: 'press', sign: signOf(event), xy: [], start: at, last: at, far: 0 };
    if (fingers.size === 2) gesture.kind = 'pinch';
    else if (event.button === 1 || spaced) gesture.kind = 'pan';
    else if (store.tool !== 'point') {
      gesture.kind = store.tool;
      gesture.xy = [pixel(at)];
    }
    if (event.button === 1) event.preventDefault(); // no scrolling by the middle button
    // Dragging one finger with the click tool scrolls the page, unless the photo is zoomed.
    if (!touch || gesture.kind !== 'press' || store.view.zoom > 1) canvas.setPointerCapture(event.pointerId);
    store.update({ gesture, cursor: null, peek: null });
    delete root.dataset.peek;
  }

  /** @param {PointerEvent} event */
  function move(event) {
    if (!store.scene) return;
    const { gesture } = store, at = screen(event), touch = event.pointerType === 'touch';
    if (!gesture) return hover(event, pixel(at));
    if (touch && !fingers.has(event.pointerId)) return;
    if (gesture.kind === 'pinch') return pinch(event.pointerId, at);
    gesture.far = Math.max(gesture.far, distance(gesture.start, at));
    if (gesture.kind === 'press' && gesture.far > DRAG_PX) {
      if (touch && store.view.zoom > 1) gesture.kind = 'pan';
      else if (!touch) {
        gesture.kind = 'box';
        gesture.xy = [pixel(gesture.start)];
      }
    }
    if (gesture.kind === 'pan') pan(gesture.last, at);
    else if (gesture.kind === 'box') gesture.xy = [gesture.xy[0], pixel(at)];
    else if (gesture.kind !== 'press') gesture.xy.push(pixel(at));
    gesture.last = at;
    tip.hidden = true;
    store.update({ gesture, hoveredRow: -1 });
  }

  /** @param {PointerEvent} event */
  function release(event) {
    fingers.delete(event.pointerId);
    const { gesture } = store;
    if (!gesture || !store.scene) return;
    store.update({ gesture: null });
    const { kind, sign, xy } = gesture, dragged = gesture.far > DRAG_PX;
    if (kind === 'pan' || kind === 'pinch') return;
    if (kind === 'scribble' || (dragged && kind !== 'press')) mark(kind, thinned(xy, MOST_POINTS), sign);
    else if (!dragged) mark('point', [pixel(gesture.start)], sign);
  }

  function cancel() {
    fingers.clear();
    store.update({ gesture: null });
  }

  function leave() {
    clearTimeout(resting);
    tip.hidden = true;
    store.update({ hoveredRow: -1, pointer: null, peek: null });
  }

  canvas.addEventListener('contextmenu', event => event.preventDefault());
  canvas.addEventListener('pointerdown', press);
  canvas.addEventListener('pointermove', move);
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointerleave', leave);
  canvas.addEventListener('pointercancel', cancel);
  canvas.addEventListener('wheel', event => {
    if (!store.scene || !(event.ctrlKey || event.metaKey)) return; // the page scrolls
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * ZOOM_PER_WHEEL), pixel(screen(event)));
  }, { passive: false });

  // ---- the keyboard

  /** @param {import('./types.js').Point} direction
   * @param {boolean} far */
  function step([dx, dy], far) {
    const scene = /** @type {import('./types.js').Scene} */ (store.scene);
    const length = Math.max(scene.width, scene.height) * CURSOR_STEP * (far ? CURSOR_SHIFT : 1);
    const [x, y] = store.cursor || middle(scene, store.view);
    const cursor = /** @type {import('./types.js').Point} */ ([
      Math.min(Math.max(x + dx * length, 0), scene.width - 1), Math.min(Math.max(y + dy * length, 0), scene.height - 1),
    ]);
    store.update({ cursor, pointer: null, hoveredRow: maskAt(scene, ...cursor) });
  }

  /** Do what a key means; return whether it means anything.
   * @param {string} key
   * @param {KeyboardEvent} event */
  function pressed(key, event) {
    const { cursor } = store, command = event.ctrlKey || event.metaKey;
    if (command && (key === 'y' || (key === 'z' && event.shiftKey))) page.act({ do: 'redo' });
    else if (command && key === 'z') page.act({ do: 'undo' });
    else if (command || event.altKey) return false;
    else if (MOVES[key]) step(MOVES[key], event.shiftKey);
    else if (cursor && key === 'Enter') mark('point', [cursor], store.sign);
    else if (cursor && (key === 'Delete' || key === 'Backspace')) mark('point', [cursor], 'take');
    else if (key === 'Escape') store.update({ cursor: null, gesture: null, hoveredRow: -1 });
    else if (TOOLS[key]) store.update({ tool: TOOLS[key] });
    else if (key === '+' || key === '-') store.update({ sign: key === '+' ? 'add' : 'take' });
    else if (LEVELS[Number(key) - 1]) page.act({ do: 'level', level: LEVELS[Number(key) - 1] });
    else if (key === 'z') zoom(event.shiftKey ? 1 / ZOOM_STEP : ZOOM_STEP, cursor || undefined);
    else if (key === '0') zoom(0);
    else if (key === 'k') page.act({ do: 'keep' });
    else if (key === ' ') spaced = true;
    else return false;
    return true;
  }

  stage.addEventListener('keydown', event => {
    if (event.target !== stage || !store.scene) return;
    if (pressed(event.key.length === 1 ? event.key.toLowerCase() : event.key, event)) event.preventDefault();
  });
  stage.addEventListener('keyup', event => { if (event.key === ' ') spaced = false; });
  stage.addEventListener('blur', () => { spaced = false; });
  return { peeked, zoom: (/** @type {number} */ direction) => zoom(direction === 0 ? 0 : ZOOM_STEP ** direction) };
}
