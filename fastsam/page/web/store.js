// @ts-check
// One object with all that is shown; the other modules change it by update() and watch it.

/** @type {import('./types.js').Answer} */
const NOTHING = {
  scene: '', version: -1, rows: [], masks: [], objects: [], labels: null, carried: [], captions: false, marks: [],
  levels: [], level: '', combine: 'any', combinable: false, can: [], ways: [], picture: null, text: '', times: '', alt: '',
};

export class Store {
  constructor() {
    /** The photo and every mask in it. @type {import('./types.js').Scene | null} */
    this.scene = null;
    /** What is selected, and by which prompts. @type {import('./types.js').Answer} */
    this.answer = NOTHING;
    /** How masks are drawn. @type {import('./types.js').Render} */
    this.render = { alpha: 0.5, contours: true, boxes: false, scores: false, colors: [] };
    /** Which part of the photo is seen. @type {import('./types.js').View} */
    this.view = { zoom: 1, x: 0, y: 0 };
    /** What the pointer draws. @type {import('./types.js').Tool} */
    this.tool = 'point';
    /** Whether it adds or removes. @type {import('./types.js').Sign} */
    this.sign = 'add';
    /** The mask under the pointer; -1 if there is none. */
    this.hoveredRow = -1;
    /** The mask that is chosen in the table. @type {number | null} */
    this.selectedRow = null;
    /** What a click where the pointer rests would select. @type {{xy: import('./types.js').Point, path: Path2D} | null} */
    this.peek = null;
    /** Where the mouse is. @type {import('./types.js').Point | null} */
    this.pointer = null;
    /** What the pointer is doing. @type {import('./types.js').Gesture | null} */
    this.gesture = null;
    /** Where the keyboard's pointer is. @type {import('./types.js').Point | null} */
    this.cursor = null;
    /** How the table is sorted. @type {import('./types.js').Sorting} */
    this.sorting = { by: null, down: false };
    /** @type {((changed: Set<string>) => void)[]} */
    this.watchers = [];
  }

  /** Change some fields, and tell who watches them.
   * @param {Partial<Store>} patch */
  update(patch) {
    Object.assign(this, patch);
    const changed = new Set(Object.keys(patch));
    for (const watcher of this.watchers) watcher(changed);
  }

  /** Call a function after changes of some fields.
   * @param {(keyof Store)[]} names
   * @param {() => void} call */
  watch(names, call) {
    this.watchers.push(changed => { if (names.some(name => changed.has(name))) call(); });
  }

  /** Forget the photo, or what was done with the one before.
   * @param {import('./types.js').Scene | null} scene */
  open(scene) {
    this.update({
      scene, answer: NOTHING, selectedRow: null, cursor: null, gesture: null, peek: null, hoveredRow: -1,
      view: { zoom: 1, x: 0, y: 0 },
    });
  }
}
