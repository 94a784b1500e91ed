// @ts-check
// Around the photo: the tools, the line about it, prompts, kept objects, levels, the table of masks.
import { colorOf } from './draw.js';
import { sorted, turned } from './masks.js';

/** Make an element.
 * @param {string} tag
 * @param {string} text
 * @param {Record<string, string | number>} [attributes] */
function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

const CROSS = '\u00d7';

/** @param {HTMLElement} root
 * @param {import('./store.js').Store} store
 * @param {{act: (what: object) => void, ask: (what: object) => void}} page
 * @param {Record<string, () => void>} commands what the buttons with data-do do, beside actions of the server */
export function makePanel(root, store, page, commands) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (root.querySelector(selector));
  const table = find('.fs-table'), ways = find('.fs-ways'), objects = find('.fs-objects');
  const nameInput = /** @type {HTMLInputElement} */ (find('.fs-keep input'));

  /** Say something below the photo, and to screen readers.
   * @param {string} text
   * @param {string} [times] */
  function say(text, times = '') {
    find('.fs-status').replaceChildren(make('span', text + ' '), make('small', times));
  }

  function showTools() {
    root.dataset.tool = store.tool;
    root.dataset.sign = store.sign;
    for (const button of root.querySelectorAll('.fs-bar [data-tool], .fs-bar [data-sign]')) {
      const { tool, sign } = /** @type {HTMLElement} */ (button).dataset;
      button.setAttribute('aria-checked', String(tool ? tool === store.tool : sign === store.sign));
    }
  }

  function showAnswer() {
    const { answer } = store;
    showChips();
    showObjects();
    showLevels();
    ways.replaceChildren(...answer.ways.map((way, k) => make('button', way.words, { type: 'button', 'data-way': k })));
    for (const name of ['undo', 'redo', 'clear', 'keep', 'carry']) {
      /** @type {HTMLButtonElement} */ (find('[data-do="' + name + '"]')).disabled = !answer.can.includes(name);
    }
    nameInput.disabled = !answer.can.includes('keep');
    root.dataset.version = String(answer.version);
    root.dataset.masks = String(answer.masks.length);
    root.dataset.rings = String(answer.masks.flatMap(mask => mask.rings).flat().length); // for tests
  }

  function showChips() {
    const { answer } = store;
    const chips = answer.marks.filter(one => one.words).map(one => {
      const item = make('li', one.words, one.sign === 'take' ? { class: 'fs-take' } : {});
      item.append(make('button', CROSS, { type: 'button', 'data-drop': one.id, 'aria-label': 'Remove prompt: ' + one.words }));
      return item;
    });
    const carried = answer.carried.map(words => {
      const item = make('li', words + ' (next photo)', { class: 'fs-carried' });
      item.append(make('button', CROSS, { type: 'button', 'data-do': 'leave', 'aria-label': 'Do not look for it: ' + words }));
      return item;
    });
    find('.fs-chips').replaceChildren(...chips, ...carried);
    const combine = find('.fs-combine');
    combine.hidden = !answer.combinable;
    for (const button of combine.querySelectorAll('button')) {
      button.setAttribute('aria-checked', String(button.dataset.combine === answer.combine));
    }
  }

  function showObjects() {
    const { answer } = store;
    objects.hidden = answer.objects.length === 0;
    const inputs = /** @type {HTMLInputElement[]} */ ([...objects.querySelectorAll('input')]);
    if (inputs.length && inputs.map(input => input.dataset.rename).join() === answer.objects.map(object => object.id).join()) {
      inputs.forEach((input, k) => { // only names have changed: whoever types in one of them goes on
        if (input !== document.activeElement) input.value = answer.objects[k].name;
      });
      return;
    }
    objects.replaceChildren(...answer.objects.map(object => {
      const item = make('li', ''), swatch = make('span', String(object.id), { class: 'fs-number' });
      swatch.style.background = object.color;
      item.append(swatch);
      if (root.dataset.kind === 'photo') {
        const name = make('input', '', { type: 'text', maxlength: 60, 'data-rename': object.id, 'aria-label': 'Name of object ' + object.id });
        /** @type {HTMLInputElement} */ (name).value = object.name;
        item.append(name);
        item.append(make('button', CROSS, { type: 'button', 'data-forget': object.id, 'aria-label': 'Remove object ' + object.id }));
      } else {
        item.append(make('span', object.name));
      }
      return item;
    }));
  }

  function showLevels() {
    const { answer } = store, levels = find('.fs-levels');
    levels.hidden = answer.levels.length < 2;
    levels.replaceChildren(...answer.levels.map(name => make('button', name[0].toUpperCase() + name.slice(1), {
      type: 'button', role: 'radio', 'data-level': name, 'aria-checked': String(name === answer.level),
      title: 'Select the ' + name + ' under the click (' + (['whole', 'part', 'subpart'].indexOf(name) + 1) + ')',
    })));
  }

  function showTable() {
    const { answer, sorting, render, selectedRow } = store, count = answer.masks.length;
    table.hidden = count === 0;
    find('.fs-table summary').textContent = count === 1 ? '1 mask' : count + ' masks';
    for (const button of table.querySelectorAll('th button')) {
      const on = /** @type {HTMLElement} */ (button).dataset.sort === sorting.by;
      /** @type {HTMLElement} */ (button.parentElement).setAttribute('aria-sort', on ? (sorting.down ? 'descending' : 'ascending') : 'none');
    }
    find('.fs-table tbody').replaceChildren(...sorted(answer.masks, sorting).map(mask => {
      const row = make('tr', '', { 'data-row': mask.row, tabindex: 0 });
      if (mask.row === selectedRow) row.classList.add('fs-lit');
      const swatch = make('span', '', { class: 'fs-swatch' });
      swatch.style.background = colorOf(render, mask.row);
      const name = (mask.label || '') + (mask.level ? ' (' + mask.level + ')' : '');
      const share = (100 * mask.share).toFixed(mask.share < 0.1 ? 1 : 0) + ' %';
      const cells = ['', mask.row < 0 ? '' : String(mask.row), name, mask.score.toFixed(2), share, ''].map(text => make('td', text));
      cells[0].append(swatch);
      if (mask.row >= 0) {
        cells[5].append(make('button', CROSS, { type: 'button', 'data-remove': mask.row, 'aria-label': 'Remove mask ' + mask.row, title: 'Remove this mask' }));
      }
      row.append(...cells);
      return row;
    }));
  }

  /** @param {number} row */
  function light(row) {
    store.update({ selectedRow: store.selectedRow === row ? null : row });
  }

  function markLitRow() {
    for (const one of table.querySelectorAll('tbody tr')) {
      one.classList.toggle('fs-lit', Number(/** @type {HTMLElement} */ (one).dataset.row) === store.selectedRow);
    }
  }

  /** @param {HTMLElement} button */
  function pressed(button) {
    const data = button.dataset;
    if (data.do) (commands[data.do] || (() => page.act({ do: data.do })))();
    else if (data.example) commands['example:' + data.example]();
    else if (data.tool) store.update({ tool: /** @type {import('./types.js').Tool} */ (data.tool) });
    else if (data.sign) store.update({ sign: /** @type {import('./types.js').Sign} */ (data.sign) });
    else if (data.level) page.act({ do: 'level', level: data.level });
    else if (data.combine) page.act({ do: 'combine', combine: data.combine });
    else if (data.drop) page.act({ do: 'drop', id: Number(data.drop) });
    else if (data.remove) page.act({ do: 'remove', row: Number(data.remove) });
    else if (data.forget) page.act({ do: 'drop-object', id: Number(data.forget) });
    else if (data.way) follow(store.answer.ways[Number(data.way)]);
    else if (data.sort) {
      const by = /** @type {Exclude<import('./types.js').Sorting['by'], null>} */ (data.sort);
      store.update({ sorting: turned(store.sorting, by) });
    }
  }

  /** @param {import('./types.js').Way} way */
  function follow(way) {
    if (way.do !== 'tool') return page.act(way);
    page.act({ do: 'undo' }); // the click that found nothing
    store.update({ tool: way.tool });
  }

  root.addEventListener('click', event => {
    const target = /** @type {HTMLElement} */ (event.target);
    const button = target.closest('button'), row = /** @type {HTMLElement | null} */ (target.closest('tbody tr'));
    if (button) pressed(button);
    else if (row) light(Number(row.dataset.row));
  });
  table.addEventListener('keydown', event => {
    const row = /** @type {HTMLElement} */ (event.target);
    if (!row.matches('tbody tr')) return;
    if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); light(Number(row.dataset.row)); }
    if (event.key === 'Delete' && Number(row.dataset.row) >= 0) page.act({ do: 'remove', row: Number(row.dataset.row) });
  });
  objects.addEventListener('change', event => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    page.act({ do: 'rename', id: Number(input.dataset.rename), name: input.value });
  });
  nameInput.addEventListener('keydown', event => {
    if (event.key === 'Enter') { event.preventDefault(); commands.keep(); }
  });
  find('.fs-ask').addEventListener('submit', event => {
    event.preventDefault();
    const words = /** @type {HTMLInputElement} */ (find('.fs-ask input'));
    if (!words.value.trim()) return;
    say('Searching ...');
    page.ask({ text: words.value });
    words.value = '';
  });

  store.watch(['tool', 'sign'], showTools);
  store.watch(['answer'], showAnswer);
  store.watch(['answer', 'render', 'sorting'], showTable);
  store.watch(['selectedRow'], markLitRow);
  return { say, objectName: () => nameInput.value };
}
