// Around the photo: what is active, the levels, the table, the line about it all.
const chips = root.querySelector('.fs-chips');
const table = root.querySelector('.fs-table');
const levels = root.querySelector('.fs-levels');
const combine = root.querySelector('.fs-combine');
const sorting = { by: null, down: false };

function make(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function say(text, times = '') {
  const status = root.querySelector('.fs-status');
  status.replaceChildren(make('span', text + ' '), make('small', times));
}

function choose(what, value) {
  root.dataset[what] = value;
  for (const button of root.querySelectorAll('.fs-bar button[data-' + what + ']')) {
    button.setAttribute('aria-checked', String(button.dataset[what] === value));
  }
}

function showChips() {
  chips.replaceChildren(...answer.marks.map(one => {
    const item = make('li', one.words, one.sign === 'take' ? { class: 'fs-take' } : {});
    item.append(make('button', '\u00d7', { type: 'button', 'data-drop': one.id, 'aria-label': 'Remove: ' + one.words }));
    return item;
  }));
  chips.append(...answer.carried.map(words => {
    const item = make('li', words + ' (next photo)', { class: 'fs-carried' });
    item.append(make('button', '\u00d7', { type: 'button', 'data-do': 'leave', 'aria-label': 'Do not look for it: ' + words }));
    return item;
  }));
  combine.hidden = !answer.combinable;
  for (const button of combine.children) {
    button.setAttribute('aria-checked', String(button.dataset.combine === answer.combine));
  }
  root.querySelector('[data-do="undo"]').disabled = answer.marks.length + answer.carried.length === 0;
  root.querySelector('[data-do="clear"]').disabled = answer.marks.length === 0;
  root.querySelector('[data-do="carry"]').disabled = answer.marks.length === 0 || answer.masks.length === 0;
}

function showLevels() {
  levels.hidden = answer.levels.length < 2;
  levels.replaceChildren(...answer.levels.map((name, k) => make('button', name[0].toUpperCase() + name.slice(1), {
    type: 'button', role: 'radio', 'data-level': name, 'aria-checked': String(name === answer.level),
    title: 'Take the ' + name + ' under the click (' + (['whole', 'part', 'subpart'].indexOf(name) + 1) + ')',
  })));
}

function showTable() {
  table.hidden = answer.masks.length === 0;
  table.querySelector('summary').textContent = answer.masks.length === 1 ? '1 mask' : answer.masks.length + ' masks';
  for (const button of table.querySelectorAll('th button')) {
    const on = button.dataset.sort === sorting.by;
    button.parentElement.setAttribute('aria-sort', on ? (sorting.down ? 'descending' : 'ascending') : 'none');
  }
  const rows = [...answer.masks];
  if (sorting.by) {
    const by = sorting.by, turn = sorting.down ? -1 : 1;
    rows.sort((a, b) => turn * (by === 'label' ? (a.label || '').localeCompare(b.label || '') : a[by] - b[by]));
  } else rows.sort((a, b) => b.score - a.score);
  table.querySelector('tbody').replaceChildren(...rows.map(mask => {
    const row = make('tr', '', { 'data-row': mask.row, tabindex: 0 });
    if (mask.row === lit) row.classList.add('fs-lit');
    const swatch = make('span', '', { class: 'fs-swatch' });
    swatch.style.background = look.colours[mask.row] || '#f59e0b';
    const cells = ['', mask.row, (mask.label || '') + (mask.level ? ' (' + mask.level + ')' : ''), mask.score.toFixed(2),
      (100 * mask.share).toFixed(mask.share < 0.1 ? 1 : 0) + ' %', ''].map(text => make('td', text));
    cells[0].append(swatch);
    cells[5].append(make('button', '\u00d7', {
      type: 'button', 'data-remove': mask.row, 'aria-label': 'Remove mask ' + mask.row, title: 'Remove this mask',
    }));
    row.append(...cells);
    return row;
  }));
}

function light(row) {
  lit = lit === row ? null : row;
  for (const one of table.querySelectorAll('tbody tr')) one.classList.toggle('fs-lit', Number(one.dataset.row) === lit);
  paint();
}

table.addEventListener('keydown', event => {
  const row = event.target.closest('tbody tr');
  if (!row || event.target !== row) return;
  if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); light(Number(row.dataset.row)); }
  if (event.key === 'Delete') act({ do: 'remove', row: Number(row.dataset.row) });
});

root.querySelector('.fs-ask').addEventListener('submit', event => {
  event.preventDefault();
  const words = event.target.querySelector('input');
  if (!words.value.trim()) return;
  say('Looking for it ...');
  trigger('ask', { text: words.value, sign: root.dataset.sign, scene: scene ? scene.id : '' });
  words.value = '';
});

const CLICKS = {
  open: () => chooser.click(),
  camera: openCamera,
  shoot,
  'close-camera': closeCamera,
  undo: () => act({ do: 'undo' }),
  clear: () => act({ do: 'clear' }),
  leave: () => act({ do: 'leave' }),
  carry: () => {
    say('Looking at it ...');
    trigger('ask', { carry: true, sign: root.dataset.sign, scene: scene ? scene.id : '' });
  },
};

root.addEventListener('click', event => {
  const button = event.target.closest('button');
  const line = event.target.closest('tbody tr');
  if (!button) {
    if (line) light(Number(line.dataset.row));
    return;
  }
  const data = button.dataset;
  if (data.do) CLICKS[data.do]();
  else if (data.example) openExample(data.example);
  else if (data.tool) choose('tool', data.tool);
  else if (data.sign) choose('sign', data.sign);
  else if (data.level) act({ do: 'level', level: data.level });
  else if (data.combine) act({ do: 'combine', combine: data.combine });
  else if (data.drop) act({ do: 'drop', id: Number(data.drop) });
  else if (data.remove) act({ do: 'remove', row: Number(data.remove) });
  else if (data.sort) {
    sorting.down = sorting.by === data.sort ? !sorting.down : data.sort === 'score' || data.sort === 'share';
    sorting.by = data.sort;
    showTable();
  }
});
