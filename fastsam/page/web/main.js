// @ts-check
// Puts the modules together: messages of the server change the store, and what the visitor does goes there.
import { makeDrawing, withPaths } from './draw.js';
import { makeFiles } from './files.js';
import { unpackHover } from './geometry.js';
import { makeInput } from './input.js';
import { shownMasks, verdict } from './masks.js';
import { makePanel } from './panel.js';
import { Store } from './store.js';

/** @param {string} source
 * @returns {Promise<HTMLImageElement>} */
function decoded(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error('the picture could not be decoded'));
    image.src = source;
  });
}

/** Start the canvas of one tab.
 * @param {import('./types.js').Host} host
 * @param {import('./types.js').Limits} limits */
export function start(host, limits) {
  const root = /** @type {HTMLElement} */ (host.element.querySelector('.fs'));
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (root.querySelector(selector));
  const store = new Store(), ending = new AbortController();

  const inScene = (/** @type {object} */ what) => ({ ...what, scene: store.scene ? store.scene.id : '' });
  const act = (/** @type {object} */ what) => host.trigger('act', inScene(what));
  const ask = (/** @type {object} */ what) => host.trigger('ask', inScene({ ...what, sign: store.sign }));

  const drawing = makeDrawing(root, store);
  /** @type {Record<string, () => void>} */
  const commands = {};
  const panel = makePanel(root, store, { act, ask }, commands);
  const files = makeFiles(root, store, host, limits, { say: panel.say, act }, ending.signal);
  const input = makeInput(root, store, host, { act });
  Object.assign(commands, {
    open: files.choose, camera: files.openCamera, shoot: files.shoot, 'close-camera': files.closeCamera,
    'zoom-in': () => input.zoom(1), 'zoom-out': () => input.zoom(-1), 'zoom-fit': () => input.zoom(0),
    keep: () => act({ do: 'keep', name: panel.objectName() }),
    carry: () => { panel.say('Looking at it ...'); ask({ carry: true }); },
  });
  for (const button of root.querySelectorAll('[data-example]')) {
    const name = /** @type {string} */ (/** @type {HTMLElement} */ (button).dataset.example);
    commands['example:' + name] = () => files.openExample(name);
  }

  /** @param {import('./types.js').Message} message */
  async function receive(message) {
    const now = verdict(store, message);
    if (now !== 'take') return now === 'sync' ? act({ do: 'sync' }) : undefined;
    if (message.kind === 'peek') return input.peeked(message);
    if (message.kind === 'closed') {
      store.open(null);
      show(false);
      return panel.say(message.text);
    }
    if (message.kind === 'scene') {
      const { image, hover, masks, ...rest } = message.scene;
      store.open({ ...rest, photo: await decoded(image), hover: unpackHover(hover), masks: withPaths(masks) });
    }
    const scene = /** @type {import('./types.js').Scene} */ (store.scene), answer = message.answer;
    if (answer.labels) scene.masks.forEach((mask, row) => { mask.label = (answer.labels || [])[row]; });
    store.update({
      answer: {
        ...answer,
        picture: answer.picture ? await decoded(answer.picture) : null,
        masks: shownMasks(scene.masks, { ...answer, masks: withPaths(answer.masks) }),
        objects: withPaths(answer.objects),
      },
      render: message.render,
      selectedRow: answer.rows.includes(/** @type {number} */ (store.selectedRow)) ? store.selectedRow : null,
    });
    panel.say(answer.text, answer.times);
    find('.fs-stage').setAttribute('aria-label', answer.alt);
    show(true);
  }

  /** @param {boolean} photo */
  function show(photo) {
    find('.fs-canvas').hidden = !photo;
    find('.fs-zoom').hidden = !photo;
    find('.fs-empty').hidden = photo;
  }

  // Messages one after the other: a picture takes a moment to decode.
  let turn = Promise.resolve();
  host.watch('value', () => {
    const message = JSON.parse(host.props.value);
    turn = turn.then(() => receive(message)).catch(error => {
      console.error('page:', error);
      panel.say('The picture could not be shown. Open it again.');
    });
  });
  // With gradio's `overflow: hidden` around it, the canvas could not stay in sight (serve.py).
  const holder = /** @type {HTMLElement | null} */ (root.closest('.gradio-container'));
  if (holder) holder.style.setProperty('overflow', 'clip', 'important');
  const observer = new ResizeObserver(() => {
    if (root.isConnected) return drawing.fit();
    ending.abort(); // the page was taken apart: listen to nothing any more
    observer.disconnect();
  });
  observer.observe(root);
  window.addEventListener('resize', drawing.fit, { signal: ending.signal });
  store.update({ answer: store.answer, tool: store.tool });
}
