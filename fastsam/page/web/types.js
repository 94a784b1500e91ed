// @ts-check
/**
 * What the canvas and the server say to each other; fastsam/page/photo/protocol.py has the same in Python.
 *
 * From the server, as the component's value (JSON): a ClosedMessage, SceneMessage, AnswerMessage or
 * PeekMessage. To the server, as events:
 * - photo: {path, name} of an upload, or {example}
 * - act: {do, scene, ...}; see fastsam/page/photo/actions.py
 * - ask: {text, sign, scene} or {carry: true, sign, scene}
 * - peek: {xy, sign, scene}
 *
 * @typedef {'add' | 'take'} Sign
 * @typedef {'point' | 'box' | 'scribble' | 'outline'} Tool
 * @typedef {[number, number]} Point  pixels of the photo, unless it is said otherwise
 *
 * @typedef {object} Mask
 * @property {number} row
 * @property {number[][]} rings
 * @property {number} score
 * @property {number} share
 * @property {number[]} box
 * @property {number[]} at
 * @property {string} [label]
 * @property {string} [level]
 * @property {Path2D} [path]  made by the browser
 *
 * @typedef {object} Hover
 * @property {number} width
 * @property {number} height
 * @property {number} step
 * @property {number[]} runs
 *
 * @typedef {Hover & {map: Int32Array}} HoverMap
 *
 * @typedef {object} SceneRecord
 * @property {string} id
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {number} brush
 * @property {string} image
 * @property {Mask[]} masks
 * @property {Hover} hover
 *
 * @typedef {Omit<SceneRecord, 'image' | 'hover'> & {photo: CanvasImageSource, hover: HoverMap}} Scene
 *
 * @typedef {object} Mark
 * @property {number} id
 * @property {string} kind
 * @property {Sign} sign
 * @property {Point[]} xy
 * @property {string} words
 *
 * @typedef {object} KeptObject
 * @property {number} id
 * @property {string} name
 * @property {string} color
 * @property {number[][]} rings
 * @property {number[]} at
 * @property {Path2D} [path]  made by the browser
 *
 * @typedef {object} Way
 * @property {string} words
 * @property {string} do
 * @property {Tool} [tool]
 * @property {number} [id]
 * @property {number} [value]
 *
 * @typedef {object} AnswerRecord
 * @property {string} scene
 * @property {number} version
 * @property {number[]} rows
 * @property {Mask[]} masks
 * @property {KeptObject[]} objects
 * @property {string[] | null} labels
 * @property {string[]} carried
 * @property {boolean} captions
 * @property {Mark[]} marks
 * @property {string[]} levels
 * @property {string} level
 * @property {string} combine
 * @property {boolean} combinable
 * @property {string[]} can
 * @property {Way[]} ways
 * @property {string | null} picture
 * @property {string} text
 * @property {string} times
 * @property {string} alt
 *
 * @typedef {Omit<AnswerRecord, 'picture'> & {picture: CanvasImageSource | null}} Answer
 *
 * @typedef {object} Render
 * @property {number} alpha
 * @property {boolean} contours
 * @property {boolean} boxes
 * @property {boolean} scores
 * @property {string[]} colors
 *
 * @typedef {{kind: 'closed', text: string}} ClosedMessage
 * @typedef {{kind: 'scene', scene: SceneRecord, answer: AnswerRecord, render: Render}} SceneMessage
 * @typedef {{kind: 'answer', answer: AnswerRecord, render: Render}} AnswerMessage
 * @typedef {{kind: 'peek', scene: string, version: number, xy: Point, rings: number[][]}} PeekMessage
 * @typedef {ClosedMessage | SceneMessage | AnswerMessage | PeekMessage} Message
 *
 * @typedef {{zoom: number, x: number, y: number}} View  x, y: the photo's pixel at the canvas' top left
 * @typedef {{by: 'row' | 'label' | 'score' | 'share' | null, down: boolean}} Sorting
 * @typedef {{left: number, top: number, width: number, height: number}} Rectangle
 *
 * @typedef {object} Gesture  what the pointer is doing
 * @property {'press' | 'pan' | 'pinch' | 'box' | 'scribble' | 'outline'} kind
 * @property {Sign} sign
 * @property {Point[]} xy
 * @property {Point} start  on the screen
 * @property {Point} last  on the screen
 * @property {number} far  how far it has been from its start, on the screen
 *
 * @typedef {object} Limits
 * @property {number} bytes  of a file
 * @property {'photo' | 'video'} kind
 *
 * @typedef {object} Host  what gradio hands to the script of a component
 * @property {HTMLElement} element
 * @property {{value: string}} props
 * @property {(event: string, data?: object) => void} trigger
 * @property {(name: string, changed: () => void) => void} watch
 * @property {(file: File) => Promise<{path: string}>} upload
 */
export {};
