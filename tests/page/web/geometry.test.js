import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  MOST_ZOOM, distance, fitted, inside, maskAt, middle, overlap, pixelAt, thinned, unpackHover, zoomed,
} from '../../../fastsam/page/web/geometry.js';

// 8 x 4 pixels, a map of 4 x 2 cells: nothing, mask 3, nothing / mask 3, mask 0.
const hover = unpackHover({ width: 4, height: 2, step: 2, runs: [-1, 1, 3, 2, -1, 1, 3, 1, 0, 3] });
const scene = { width: 8, height: 4, hover };
const whole = { zoom: 1, x: 0, y: 0 };
const box = { left: 100, top: 50, width: 80, height: 40 };

test('runs become a map', () => {
  assert.deepEqual([...hover.map], [-1, 3, 3, -1, 3, 0, 0, 0]);
});

test('the mask at a pixel is that of its cell', () => {
  assert.equal(maskAt(scene, 0, 0), -1);
  assert.equal(maskAt(scene, 2, 1.9), 3);
  assert.equal(maskAt(scene, 1, 2), 3);
  assert.equal(maskAt(scene, 7.9, 3.9), 0);
});

test('there is no mask outside the photo, or without one', () => {
  for (const [x, y] of [[-0.1, 0], [0, -1], [8, 0], [0, 4]]) assert.equal(maskAt(scene, x, y), -1);
  assert.equal(maskAt(null, 1, 1), -1);
});

test('a last cell that is cut off by the edge of the photo still counts', () => {
  assert.equal(maskAt({ ...scene, width: 9, height: 5 }, 8.5, 4.5), 0);
});

test('a photo fits into the narrower side', () => {
  assert.deepEqual(fitted({ width: 200, height: 100 }, 50, 1000), { width: 50, height: 25 });
  assert.deepEqual(fitted({ width: 200, height: 100 }, 1000, 50), { width: 100, height: 50 });
});

test('places on the screen are pixels of the photo, and stay in it', () => {
  assert.deepEqual(pixelAt(scene, whole, box, 140, 60), [4, 1]);
  assert.deepEqual(pixelAt(scene, whole, box, 0, 0), [0, 0]);
  assert.deepEqual(pixelAt(scene, whole, box, 1000, 1000), [7.9, 3.9]);
  assert.deepEqual(pixelAt(scene, { zoom: 2, x: 4, y: 2 }, box, 140, 70), [6, 3]);
});

test('a zoomed view keeps the pixel under the pointer where it is', () => {
  const at = pixelAt(scene, whole, box, 130, 60), closer = zoomed(scene, whole, 2, at);
  assert.equal(closer.zoom, 2);
  assert.deepEqual(pixelAt(scene, closer, box, 130, 60), at);
});

test('zooming ends at the whole photo and at its most', () => {
  assert.deepEqual(zoomed(scene, { zoom: 4, x: 3, y: 1 }, 0, [4, 2]), whole);
  assert.equal(zoomed(scene, whole, 1000, [4, 2]).zoom, MOST_ZOOM);
});

test('a view never shows what is beyond the photo', () => {
  assert.deepEqual(inside(scene, { zoom: 2, x: -5, y: 9 }), { zoom: 2, x: 0, y: 2 });
  assert.deepEqual(middle(scene, { zoom: 2, x: 4, y: 2 }), [6, 3]);
});

test('a closed outline goes far although its ends meet', () => {
  const stroke = [[0, 0], [30, 0], [30, 40], [1, 1]];
  assert.equal(Math.max(...stroke.map(point => distance(stroke[0], point))), 50);
});

test('rectangles overlap if they share a place, not if they touch', () => {
  const at = (left, top) => ({ left, top, width: 10, height: 4 });
  assert.ok(overlap(at(0, 0), at(9, 3)));
  assert.ok(overlap(at(0, 0), at(-9, -3)));
  assert.ok(!overlap(at(0, 0), at(10, 0)));
  assert.ok(!overlap(at(0, 0), at(0, 4)));
});

test('a long stroke is thinned to its limit and keeps both ends', () => {
  const stroke = Array.from({ length: 1234 }, (_, k) => [k, 2 * k]);
  const few = thinned(stroke, 400);
  assert.ok(few.length <= 400 && few.length > 200);
  assert.deepEqual([few[0], few.at(-1)], [[0, 0], [1233, 2466]]);
  assert.equal(thinned(stroke.slice(0, 400), 400).length, 400);
});
