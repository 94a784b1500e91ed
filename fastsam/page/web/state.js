// One visitor's page: what is shown, and what the pointer is about to do. `limits` comes from the server.
const root = element.querySelector('.fs');
const NOTHING = {
  version: -1, marks: [], masks: [], rows: [], levels: [], level: '', combine: 'any', combinable: false, carried: [], picture: null,
};
let scene = null; // the photo and every mask in it
let answer = { ...NOTHING }; // what is selected, and by which prompts
let look = { alpha: 0.5, contours: true, boxes: false, scores: false, colours: [] };
let under = -1; // the mask under the pointer
let lit = null; // the mask that is chosen in the table
let draft = null; // what is being drawn
let keyed = null; // where the keyboard's pointer is
