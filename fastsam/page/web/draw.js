// Drawing: the photo, masks as paths in image pixels, prompts, what is under the pointer.
const GREEN = '#22c55e', RED = '#ef4444';
const canvas = root.querySelector('.fs-canvas');
const tip = root.querySelector('.fs-tip');
const back = document.createElement('canvas'); // photo and masks, kept between moves of the pointer

function paths(masks) {
  for (const mask of masks) {
    mask.path = new Path2D();
    for (const ring of mask.rings) {
      for (let k = 0; k < ring.length; k += 2) {
        if (k === 0) mask.path.moveTo(ring[0], ring[1]);
        else mask.path.lineTo(ring[k], ring[k + 1]);
      }
      mask.path.closePath();
    }
  }
  return masks;
}

function unpackHover(hover) {
  const map = new Int32Array(hover.width * hover.height);
  let at = 0;
  for (let k = 0; k < hover.runs.length; k += 2) {
    map.fill(hover.runs[k], at, at + hover.runs[k + 1]);
    at += hover.runs[k + 1];
  }
  return { ...hover, map };
}

function maskAt(x, y) {
  if (!scene || x < 0 || y < 0 || x >= scene.width || y >= scene.height) return -1;
  const { width, height, step, map } = scene.hover;
  return map[Math.min(Math.floor(y / step), height - 1) * width + Math.min(Math.floor(x / step), width - 1)];
}

// The size on the screen: as wide as there is room, and no higher than most of the window.
function fit() {
  if (!scene) return;
  const most = Math.max(root.clientWidth - 2, 50), high = Math.max(window.innerHeight * 0.62, 220);
  const wide = Math.min(most, high * scene.width / scene.height);
  canvas.style.width = wide + 'px';
  canvas.style.height = wide * scene.height / scene.width + 'px';
  const dense = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = back.width = Math.max(Math.round(wide * dense), 1);
  canvas.height = back.height = Math.max(Math.round(wide * dense * scene.height / scene.width), 1);
  paintBack();
}

function inImage(context) {
  const scale = canvas.width / scene.width;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return 1 / scale * Math.min(window.devicePixelRatio || 1, 2); // one point of the screen, in image pixels
}

function paintBack() {
  if (!scene) return;
  const context = back.getContext('2d');
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, back.width, back.height);
  if (answer.picture) checkers(context);
  context.drawImage(answer.picture || scene.photo, 0, 0, back.width, back.height);
  const dot = inImage(context);
  if (!answer.picture) for (const mask of answer.masks) paintMask(context, mask, dot);
  if (!answer.picture) for (const mask of answer.masks) paintCaption(context, mask, dot);
  paint();
}

function checkers(context) { // behind what is transparent
  context.fillStyle = '#fff';
  context.fillRect(0, 0, back.width, back.height);
  context.fillStyle = '#ddd';
  for (let y = 0; y < back.height; y += 12) {
    for (let x = (y / 12) % 2 * 12; x < back.width; x += 24) context.fillRect(x, y, 12, 12);
  }
}

function paintMask(context, mask, dot) {
  const colour = look.colours[mask.row] || '#f59e0b'; // a mask that is none of everything
  context.globalAlpha = look.alpha;
  context.fillStyle = colour;
  context.fill(mask.path, 'evenodd');
  context.globalAlpha = 1;
  if (look.contours) {
    context.strokeStyle = colour;
    context.lineWidth = 3 * dot;
    context.stroke(mask.path);
    context.strokeStyle = 'rgba(255,255,255,.75)';
    context.lineWidth = 1 * dot;
    context.stroke(mask.path);
  }
  if (look.boxes) {
    context.strokeStyle = colour;
    context.lineWidth = 2 * dot;
    context.strokeRect(mask.box[0], mask.box[1], mask.box[2] - mask.box[0], mask.box[3] - mask.box[1]);
  }
}

function paintCaption(context, mask, dot) {
  const words = [];
  if (answer.captions && mask.label && mask.label !== 'unknown') words.push(mask.label);
  if (look.scores) words.push(mask.score.toFixed(2));
  if (!words.length) return;
  context.font = 12 * dot + 'px sans-serif';
  const text = words.join(' '), wide = context.measureText(text).width + 8 * dot;
  const x = Math.min(Math.max(mask.at[0] - wide / 2, 0), Math.max(scene.width - wide, 0));
  const y = Math.min(Math.max(mask.at[1] - 8 * dot, 0), Math.max(scene.height - 17 * dot, 0));
  context.fillStyle = 'rgba(0,0,0,.7)';
  context.fillRect(x, y, wide, 17 * dot);
  context.fillStyle = '#fff';
  context.fillText(text, x + 4 * dot, y + 13 * dot);
}

function paint() {
  if (!scene) return;
  const context = canvas.getContext('2d');
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(back, 0, 0);
  const dot = inImage(context);
  const shown = lit === null ? under : lit;
  const mask = shown < 0 ? null : answer.masks.find(one => one.row === shown) || scene.masks[shown] || null;
  if (mask && !draft) {
    context.fillStyle = 'rgba(255,255,255,.38)';
    context.fill(mask.path, 'evenodd');
    context.strokeStyle = '#000';
    context.lineWidth = 4 * dot;
    context.stroke(mask.path);
    context.strokeStyle = '#fff';
    context.lineWidth = 2 * dot;
    context.stroke(mask.path);
  }
  if (!answer.picture) for (const mark of answer.marks) paintMark(context, mark, dot);
  if (draft) paintMark(context, draft, dot);
  if (keyed) {
    for (const [colour, wide] of [['#000', 4], ['#fff', 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide * dot;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [0, 1]]) {
        context.moveTo(keyed.x - 14 * dx * dot, keyed.y - 14 * dy * dot);
        context.lineTo(keyed.x + 14 * dx * dot, keyed.y + 14 * dy * dot);
      }
      context.stroke();
    }
  }
}

function paintMark(context, mark, dot) {
  const colour = mark.sign === 'take' ? RED : GREEN, xy = mark.xy;
  if (!xy || !xy.length) return;
  context.lineJoin = context.lineCap = 'round';
  if (mark.kind === 'point') {
    const [x, y] = xy[0], r = 7 * dot;
    context.beginPath();
    context.arc(x, y, r, 0, 7);
    context.fillStyle = colour;
    context.fill();
    context.strokeStyle = '#fff';
    context.lineWidth = 2 * dot;
    context.stroke();
    context.beginPath();
    context.moveTo(x - r / 2, y);
    context.lineTo(x + r / 2, y);
    if (mark.sign !== 'take') { context.moveTo(x, y - r / 2); context.lineTo(x, y + r / 2); }
    context.stroke();
    return;
  }
  context.beginPath();
  if (mark.kind === 'box') {
    const [[x1, y1], [x2, y2]] = [xy[0], xy[xy.length - 1]];
    context.rect(Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1));
  } else {
    xy.forEach(([x, y], k) => k ? context.lineTo(x, y) : context.moveTo(x, y));
    if (xy.length === 1) context.lineTo(xy[0][0] + 0.1, xy[0][1]);
    if (mark.kind === 'outline') context.closePath();
  }
  const wide = mark.kind === 'scribble' ? Math.max(scene.brush, 4 * dot) : 3 * dot;
  context.strokeStyle = '#fff';
  context.globalAlpha = mark.kind === 'scribble' ? 0.5 : 1;
  context.lineWidth = wide + 2 * dot;
  context.stroke();
  context.strokeStyle = colour;
  context.lineWidth = wide;
  context.stroke();
  context.globalAlpha = 1;
}

function describe(row) {
  const mask = answer.masks.find(one => one.row === row) || scene.masks[row];
  const name = mask.label && mask.label !== 'unknown' ? mask.label + ', ' : '';
  return name + 'mask ' + row + ', score ' + mask.score.toFixed(2);
}

function showTip(event) {
  tip.hidden = under < 0 || draft !== null;
  if (tip.hidden) return;
  tip.textContent = describe(under);
  const stage = root.querySelector('.fs-stage').getBoundingClientRect();
  tip.style.left = Math.min(event.clientX - stage.left + 14, stage.width - tip.offsetWidth - 4) + 'px';
  tip.style.top = Math.max(event.clientY - stage.top - 28, 2) + 'px';
}
