// @ts-check
// Photos and videos that come in: chosen, dropped, pasted, or taken with the camera.

const CAMERA_WIDTH = 1280, JPEG_QUALITY = 0.95;

/** @param {HTMLElement} root
 * @param {import('./store.js').Store} store
 * @param {import('./types.js').Host} host
 * @param {import('./types.js').Limits} limits
 * @param {{say: (text: string, times?: string) => void, act: (what: object) => void}} page
 * @param {AbortSignal} signal ends what listens to the whole document */
export function makeFiles(root, store, host, limits, page, signal) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (root.querySelector(selector));
  const stage = find('.fs-stage'), cameraBox = find('.fs-camera');
  const chooser = /** @type {HTMLInputElement} */ (find('.fs-file'));
  const video = /** @type {HTMLVideoElement} */ (cameraBox.querySelector('video'));

  /** @param {string} what
   * @param {string} [name] */
  function refuse(what, name) { page.act({ do: 'refuse', what, name: name || '' }); }

  /** @param {File | null | undefined} file */
  async function open(file) {
    if (!file) return;
    if (file.size > limits.bytes) return refuse('size', file.name);
    if (file.size === 0) return refuse('empty', file.name);
    if (limits.kind === 'photo' && file.type && !file.type.startsWith('image/')) return refuse('kind', file.name);
    page.say('Uploading ...');
    let sent;
    try {
      sent = await host.upload(file);
    } catch (error) {
      page.say('');
      return refuse('upload', file.name);
    }
    page.say('Finding all objects ...');
    host.trigger('photo', { path: sent.path, name: file.name });
  }

  /** @param {string} name */
  function openExample(name) {
    page.say('Finding all objects ...');
    host.trigger('photo', { example: name });
  }

  async function openCamera() {
    if (!navigator.mediaDevices) return refuse('camera');
    try {
      const wanted = { video: { facingMode: 'environment', width: CAMERA_WIDTH } };
      video.srcObject = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      return refuse('camera');
    }
    cameraBox.hidden = false;
    find('.fs-canvas').hidden = true;
    find('.fs-empty').hidden = true;
    await video.play();
  }

  function closeCamera() {
    const stream = /** @type {MediaStream | null} */ (video.srcObject);
    if (stream) stream.getTracks().forEach(track => track.stop());
    video.srcObject = null;
    cameraBox.hidden = true;
    find('.fs-canvas').hidden = !store.scene;
    find('.fs-empty').hidden = !!store.scene;
  }

  function shoot() {
    const shot = document.createElement('canvas');
    shot.width = video.videoWidth;
    shot.height = video.videoHeight;
    /** @type {CanvasRenderingContext2D} */ (shot.getContext('2d')).drawImage(video, 0, 0);
    closeCamera();
    shot.toBlob(blob => {
      if (blob) open(new File([blob], 'camera.jpg', { type: 'image/jpeg' }));
    }, 'image/jpeg', JPEG_QUALITY);
  }

  chooser.addEventListener('change', () => { open(chooser.files && chooser.files[0]); chooser.value = ''; });
  stage.addEventListener('dragover', event => { event.preventDefault(); stage.classList.add('fs-drop'); });
  stage.addEventListener('dragleave', () => stage.classList.remove('fs-drop'));
  stage.addEventListener('drop', event => {
    event.preventDefault();
    stage.classList.remove('fs-drop');
    open(event.dataTransfer && event.dataTransfer.files[0]);
  });
  document.addEventListener('paste', event => {
    if (root.offsetParent === null) return; // the other tab is shown
    const file = event.clipboardData && event.clipboardData.files[0];
    if (file) { event.preventDefault(); open(file); }
  }, { signal });
  return { choose: () => chooser.click(), openExample, openCamera, closeCamera, shoot };
}
