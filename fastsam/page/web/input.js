// Input: photos that come in, the pointer, the keyboard.
const stage = root.querySelector('.fs-stage');
const chooser = root.querySelector('.fs-file');
const cameraBox = root.querySelector('.fs-camera');
const video = cameraBox.querySelector('video');
const TURNED = 5; // screen points that a click may wander before it is a drag

function refuse(what, name) { act({ do: 'refuse', what, name: name || '' }); }

async function openFile(file) {
  if (!file) return;
  if (file.size > limits.bytes) return refuse('size', file.name);
  if (file.size === 0) return refuse('empty', file.name);
  if (limits.kind === 'photo' && file.type && !file.type.startsWith('image/')) return refuse('kind', file.name);
  say('Sending the ' + limits.kind + ' ...');
  let sent;
  try {
    sent = await upload(file);
  } catch (error) {
    say('');
    return refuse('upload', file.name);
  }
  say('Looking for everything in it ...');
  trigger('photo', { path: sent.path, name: file.name });
}

function openExample(name) {
  say('Looking for everything in it ...');
  trigger('photo', { example: name });
}

chooser.addEventListener('change', () => { openFile(chooser.files[0]); chooser.value = ''; });
stage.addEventListener('dragover', event => { event.preventDefault(); stage.classList.add('fs-drop'); });
stage.addEventListener('dragleave', () => stage.classList.remove('fs-drop'));
stage.addEventListener('drop', event => {
  event.preventDefault();
  stage.classList.remove('fs-drop');
  openFile(event.dataTransfer.files[0]);
});
document.addEventListener('paste', event => {
  if (root.offsetParent === null) return; // the other tab is shown
  const file = [...(event.clipboardData ? event.clipboardData.files : [])][0];
  if (file) { event.preventDefault(); openFile(file); }
});

async function openCamera() {
  if (!navigator.mediaDevices) return refuse('camera');
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: 1280 } });
  } catch (error) {
    return refuse('camera');
  }
  cameraBox.hidden = false;
  canvas.hidden = true;
  root.querySelector('.fs-empty').hidden = true;
  await video.play();
}

function closeCamera() {
  if (video.srcObject) video.srcObject.getTracks().forEach(track => track.stop());
  video.srcObject = null;
  cameraBox.hidden = true;
  canvas.hidden = !scene;
  root.querySelector('.fs-empty').hidden = !!scene;
}

function shoot() {
  const shot = document.createElement('canvas');
  shot.width = video.videoWidth;
  shot.height = video.videoHeight;
  shot.getContext('2d').drawImage(video, 0, 0);
  closeCamera();
  shot.toBlob(blob => openFile(new File([blob], 'camera.jpg', { type: 'image/jpeg' })), 'image/jpeg', 0.95);
}

// ---- the pointer: a click is a point, a drag is a box, a stroke or an outline

let start = null;

function pixel(event) {
  const box = canvas.getBoundingClientRect();
  const clip = (value, most) => Math.min(Math.max(value, 0), most - 0.01);
  return [
    clip((event.clientX - box.left) / box.width * scene.width, scene.width),
    clip((event.clientY - box.top) / box.height * scene.height, scene.height),
  ].map(value => Math.round(value * 10) / 10);
}

const signOf = event => event.button === 2 || event.ctrlKey || event.metaKey ? 'take' : root.dataset.sign;

canvas.addEventListener('contextmenu', event => event.preventDefault());
canvas.addEventListener('pointerdown', event => {
  if (!scene || event.button === 1) return;
  keyed = null;
  start = { x: event.clientX, y: event.clientY, at: pixel(event), sign: signOf(event), id: event.pointerId };
  const tool = root.dataset.tool;
  if (tool === 'point') { // dragging a finger scrolls the page, dragging a mouse draws a box
    start.kind = event.pointerType === 'touch' ? null : 'box';
  } else {
    start.kind = tool;
    draft = { kind: tool, sign: start.sign, xy: [start.at] };
  }
  if (start.kind) canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener('pointermove', event => {
  if (!scene) return;
  const at = pixel(event);
  if (start && start.kind && start.id === event.pointerId) {
    if (!draft && Math.hypot(event.clientX - start.x, event.clientY - start.y) > TURNED) {
      draft = { kind: start.kind, sign: start.sign, xy: [start.at] };
    }
    if (draft && draft.kind === 'box') draft.xy = [start.at, at];
    else if (draft) draft.xy.push(at);
  }
  const now = event.pointerType === 'touch' ? -1 : maskAt(...at);
  const changed = now !== under;
  under = now;
  showTip(event);
  if (changed || draft) paint();
});
canvas.addEventListener('pointerleave', () => { under = -1; tip.hidden = true; paint(); });
canvas.addEventListener('pointercancel', () => { start = draft = null; paint(); });
canvas.addEventListener('pointerup', event => {
  if (!start || start.id !== event.pointerId) return;
  const moved = Math.hypot(event.clientX - start.x, event.clientY - start.y) > TURNED;
  const stroke = draft, from = start;
  start = draft = null;
  if (stroke && (moved || stroke.kind === 'scribble')) {
    const few = stroke.xy.length > 400 ? stroke.xy.filter((_, k) => k % Math.ceil(stroke.xy.length / 400) === 0) : stroke.xy;
    mark(stroke.kind, few, from.sign);
  } else if (!moved) {
    mark('point', [from.at], from.sign);
  }
  paint();
});

function mark(kind, xy, sign) {
  answer.marks.push({ id: -1, kind, sign, xy }); // at once; the answer brings the true list
  act({ do: 'mark', kind, xy, sign });
}

// ---- the keyboard

const TOOLS = { p: 'point', b: 'box', s: 'scribble', o: 'outline' };
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

stage.addEventListener('keydown', event => {
  if (event.target !== stage || !scene) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const step = Math.max(scene.width, scene.height) / 100 * (event.shiftKey ? 8 : 1);
  if ((event.ctrlKey || event.metaKey) && key === 'z') act({ do: 'undo' });
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (MOVES[key]) {
    keyed = keyed || { x: scene.width / 2, y: scene.height / 2 };
    keyed.x = Math.min(Math.max(keyed.x + MOVES[key][0] * step, 0), scene.width - 1);
    keyed.y = Math.min(Math.max(keyed.y + MOVES[key][1] * step, 0), scene.height - 1);
    under = maskAt(keyed.x, keyed.y);
    paint();
  } else if (keyed && (key === 'Enter' || key === ' ')) mark('point', [[keyed.x, keyed.y]], root.dataset.sign);
  else if (keyed && (key === 'Delete' || key === 'Backspace')) mark('point', [[keyed.x, keyed.y]], 'take');
  else if (key === 'Escape') { keyed = start = draft = null; under = -1; paint(); }
  else if (TOOLS[key]) choose('tool', TOOLS[key]);
  else if (key === '+' || key === '-') choose('sign', key === '+' ? 'add' : 'take');
  else if ('123'.includes(key)) act({ do: 'level', level: ['whole', 'part', 'subpart'][key - 1] });
  else return;
  event.preventDefault();
});
