import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describe, shownMasks, sorted, turned, verdict } from '../../../fastsam/page/web/masks.js';
import { Store } from '../../../fastsam/page/web/store.js';

const mask = (row, score, share, label) => ({ row, score, share, label, rings: [], box: [], at: [] });
const everything = [mask(0, 0.9, 0.1, 'bus'), mask(1, 0.8, 0.5, 'art'), mask(2, 0.7, 0.3)];
const answer = (version, scene = 'a') => ({ scene, version, rows: [0, 2], masks: [], labels: null });
const open = { scene: { id: 'a' }, answer: { version: 5 } };

test('another photo and a closed one always count', () => {
  for (const kind of ['scene', 'closed']) assert.equal(verdict({ scene: null, answer: { version: 9 } }, { kind }), 'take');
});

test('an answer counts unless a later one has overtaken it', () => {
  assert.equal(verdict(open, { kind: 'answer', answer: answer(4) }), 'ignore');
  for (const version of [5, 6, 9]) assert.equal(verdict(open, { kind: 'answer', answer: answer(version) }), 'take');
});

test('an answer about another photo asks for everything', () => {
  assert.equal(verdict(open, { kind: 'answer', answer: answer(6, 'b') }), 'sync');
  assert.equal(verdict({ ...open, scene: null }, { kind: 'answer', answer: answer(6) }), 'sync');
});

test('a peek counts for its own answer only, and shows that one got lost', () => {
  const peek = (version, scene = 'a') => ({ kind: 'peek', version, scene });
  assert.equal(verdict(open, peek(5)), 'take');
  assert.equal(verdict(open, peek(4)), 'ignore');
  assert.equal(verdict(open, peek(6)), 'sync');
  assert.equal(verdict(open, peek(5, 'b')), 'ignore');
});

test('large masks are drawn first', () => {
  assert.deepEqual(shownMasks(everything, answer(1)).map(one => one.row), [2, 0]);
});

test('masks that an answer has changed replace those of the photo', () => {
  const cut = { ...mask(0, 0.9, 0.05), level: 'part' };
  const shown = shownMasks(everything, { ...answer(1), masks: [cut] });
  assert.deepEqual(shown.map(one => [one.row, one.share]), [[2, 0.3], [0, 0.05]]);
});

test('made masks that are none of everything are shown, all of them', () => {
  const made = [mask(-1, 0.5, 0.2), mask(-1, 0.4, 0.3)];
  const shown = shownMasks(everything, { ...answer(1), rows: [-1, -1], masks: made, labels: ['x', 'y', 'z'] });
  assert.deepEqual(shown.map(one => [one.row, one.share, one.label]), [[-1, 0.3, undefined], [-1, 0.2, undefined]]);
});

test('names of the vocabulary are those of the rows', () => {
  const shown = shownMasks(everything, { ...answer(1), labels: ['x', 'y', 'z'] });
  assert.deepEqual(shown.map(one => one.label), ['z', 'x']);
});

test('the table sorts by each column, both ways, and the best are first at the start', () => {
  const rows = (by, down) => sorted([...everything].reverse(), { by, down }).map(one => one.row);
  assert.deepEqual(rows(null, false), [0, 1, 2]);
  assert.deepEqual(rows('share', true), [1, 2, 0]);
  assert.deepEqual(rows('share', false), [0, 2, 1]);
  assert.deepEqual(rows('label', false), [2, 1, 0]);
  assert.deepEqual(rows('row', true), [2, 1, 0]);
});

test('sorting leaves the masks as they were', () => {
  const before = everything.map(one => one.row);
  sorted(everything, { by: 'share', down: true });
  assert.deepEqual(everything.map(one => one.row), before);
});

test('a heading sorts large numbers first and names from A, and turns when clicked again', () => {
  assert.deepEqual(turned({ by: null, down: false }, 'score'), { by: 'score', down: true });
  assert.deepEqual(turned({ by: 'score', down: true }, 'score'), { by: 'score', down: false });
  assert.deepEqual(turned({ by: 'score', down: true }, 'label'), { by: 'label', down: false });
});

test('a mask is called by its name, else by its number', () => {
  assert.equal(describe(everything[0]), 'bus, quality 0.90');
  assert.equal(describe(everything[2]), 'Mask 2, quality 0.70');
  assert.equal(describe(mask(4, 1, 0, 'unknown')), 'Mask 4, quality 1.00');
});

test('the store tells its watchers what has changed, once per update', () => {
  const store = new Store(), heard = [];
  store.watch(['tool', 'sign'], () => heard.push('tools'));
  store.watch(['answer'], () => heard.push('answer'));
  store.update({ tool: 'box', sign: 'take' });
  assert.deepEqual(heard, ['tools']);
  store.open(null);
  assert.deepEqual(heard, ['tools', 'answer']);
  assert.equal(store.tool, 'box'); // another photo keeps the tool
});
