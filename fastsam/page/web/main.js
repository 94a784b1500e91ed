// What the server sent, and what it is told. Runs last: the other files have defined what is called here.
function act(what) { trigger('act', { ...what, scene: scene ? scene.id : '' }); }

function picture(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = reject;
    image.src = source;
  });
}

async function receive(message) {
  if (message.kind === 'closed') {
    scene = null;
    canvas.hidden = true;
    root.querySelector('.fs-empty').hidden = false;
    answer = { ...NOTHING };
    say(message.text);
    return finish();
  }
  if (message.kind === 'scene') {
    const photo = await picture(message.scene.image);
    scene = { ...message.scene, photo, hover: unpackHover(message.scene.hover), masks: paths(message.scene.masks) };
    scene.image = null;
    answer = { ...NOTHING };
    lit = keyed = null;
    under = -1;
  } else if (!scene || message.answer.scene !== scene.id) {
    return act({ do: 'sync' });
  }
  if (message.answer.version < answer.version) return undefined; // overtaken by a later one
  const next = message.answer;
  const effect = next.picture ? await picture(next.picture) : null;
  const own = new Map(paths(next.masks).map(mask => [mask.row, mask]));
  const masks = next.rows.map(row => own.get(row) || scene.masks[row]);
  masks.forEach(mask => { if (next.labels) mask.label = next.labels[mask.row]; });
  if (next.labels) scene.masks.forEach(mask => { mask.label = next.labels[mask.row]; });
  masks.sort((a, b) => b.share - a.share); // small ones stay visible
  answer = { ...next, masks, picture: effect };
  look = message.look;
  if (lit !== null && !next.rows.includes(lit)) lit = null;
  say(next.text, next.times);
  stage.setAttribute('aria-label', next.alt);
  canvas.hidden = false;
  root.querySelector('.fs-empty').hidden = true;
  return finish(message.kind === 'scene');
}

function finish(resized = false) {
  showChips();
  showLevels();
  showTable();
  if (resized) fit();
  else paintBack();
  root.dataset.version = answer.version;
  root.dataset.masks = answer.masks.length;
}

// Messages one after the other: a picture takes a moment to decode.
let line = Promise.resolve();
watch('value', () => {
  const message = JSON.parse(props.value);
  line = line.then(() => receive(message)).catch(error => console.error('page:', error));
});
// With gradio's `overflow: hidden` around it, the canvas could not stay in sight (serve.py).
const holder = root.closest('.gradio-container');
if (holder) holder.style.setProperty('overflow', 'clip', 'important');
new ResizeObserver(() => fit()).observe(root);
window.addEventListener('resize', fit);
finish();
