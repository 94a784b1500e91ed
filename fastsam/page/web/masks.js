// @ts-check
// Pure: which message counts, which masks are shown, and in which order. Tested by tests/page/web.

/** What to do with a message: take it, ask for everything, or ignore it.
 * @param {{scene: {id: string} | null, answer: {version: number}}} store
 * @param {import('./types.js').Message} message
 * @returns {'take' | 'sync' | 'ignore'} */
export function verdict(store, message) {
  if (message.kind === 'closed' || message.kind === 'scene') return 'take';
  const about = message.kind === 'peek' ? message : message.answer;
  if (!store.scene || about.scene !== store.scene.id) return message.kind === 'peek' ? 'ignore' : 'sync';
  if (about.version < store.answer.version) return 'ignore'; // overtaken by a later one
  if (message.kind === 'peek' && about.version > store.answer.version) return 'sync'; // an answer got lost
  return 'take';
}

/** The masks of an answer, with their names, the largest first so that small ones stay visible.
 * @param {import('./types.js').Mask[]} everything
 * @param {import('./types.js').AnswerRecord} answer
 * @returns {import('./types.js').Mask[]} */
export function shownMasks(everything, answer) {
  const names = answer.labels;
  if (answer.masks.length === answer.rows.length) {
    return [...answer.masks].map(mask => named(mask, names)).sort((a, b) => b.share - a.share);
  }
  const own = new Map(answer.masks.map(mask => [mask.row, mask]));
  const masks = answer.rows.map(row => named(own.get(row) || everything[row], names));
  return masks.sort((a, b) => b.share - a.share);
}

/** @param {import('./types.js').Mask} mask
 * @param {string[] | null} names of everything
 * @returns {import('./types.js').Mask} */
function named(mask, names) {
  return names && mask.row >= 0 ? { ...mask, label: names[mask.row] } : mask;
}

/** The masks as the table lists them; the best first unless it says otherwise.
 * @param {import('./types.js').Mask[]} masks
 * @param {import('./types.js').Sorting} sorting */
export function sorted(masks, sorting) {
  const { by, down } = sorting, rows = [...masks];
  if (by === null) return rows.sort((a, b) => b.score - a.score);
  const turn = down ? -1 : 1;
  if (by === 'label') return rows.sort((a, b) => turn * (a.label || '').localeCompare(b.label || ''));
  return rows.sort((a, b) => turn * (a[by] - b[by]));
}

/** The order after a click on a heading: numbers begin with the largest, names with A.
 * @param {import('./types.js').Sorting} sorting
 * @param {Exclude<import('./types.js').Sorting['by'], null>} by
 * @returns {import('./types.js').Sorting} */
export function turned(sorting, by) {
  return { by, down: sorting.by === by ? !sorting.down : by === 'score' || by === 'share' };
}

/** What a mask is called under the pointer.
 * @param {import('./types.js').Mask} mask */
export function describe(mask) {
  const name = mask.label && mask.label !== 'unknown' ? mask.label : 'Mask ' + mask.row;
  return name + ', quality ' + mask.score.toFixed(2);
}
