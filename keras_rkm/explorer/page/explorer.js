'use strict';
(() => {
  const element = (id) => document.getElementById(id);
  const data = JSON.parse(element('data').textContent);
  const [height, width, channels] = data.imageShape;
  const dim = data.axes.length;
  const values = new Array(dim).fill(0); // in standard deviations of the latents
  const slots = {start: null, end: null}; // indices of pictures
  const sliders = [];
  const outputs = [];
  const previews = [];
  const turnSliders = [];
  const turnOutputs = [];
  const turnPreviews = [];
  let decode = null; // from rows of latents to a promise of their pixels
  let target = 'start';

  // ---- Decoding in the page ------------------------------------------------------------------

  async function inflated(id) {
    const text = atob(element(id).textContent);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Response(stream).arrayBuffer();
  }

  function fromFloat16(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  function numbers(buffer, {kind, offset, length}) {
    if (kind === 'float32') return new Float32Array(buffer, offset, length / 4);
    if (kind === 'float16') {
      const halves = new Uint16Array(buffer, offset, length / 2);
      const floats = new Float32Array(halves.length);
      for (let i = 0; i < halves.length; i++) floats[i] = fromFloat16(halves[i]);
      return floats;
    }
    // zigzag16: the low bytes of all, then the high ones; 0, 1, 2, 3 are 0, -1, 1, -2.
    const bytes = new Uint8Array(buffer, offset, length);
    const count = length / 2;
    const result = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const code = bytes[i] | (bytes[count + i] << 8);
      result[i] = (code >> 1) ^ -(code & 1);
    }
    return result;
  }

  const ACTIVATIONS = {
    elu: (x) => tfjs.elu(x),
    exponential: (x) => tfjs.exp(x),
    relu: (x) => tfjs.relu(x),
    relu6: (x) => tfjs.relu6(x),
    selu: (x) => tfjs.selu(x),
    sigmoid: (x) => tfjs.sigmoid(x),
    silu: (x) => tfjs.mul(x, tfjs.sigmoid(x)),
    softplus: (x) => tfjs.softplus(x),
    tanh: (x) => tfjs.tanh(x),
  };

  function run(step, x, arrays) {
    const kernel = arrays[step.kernel];
    const biased = (y) => (step.bias === undefined ? y : tfjs.add(y, arrays[step.bias]));
    const batch = x.shape[0];
    switch (step.op) {
      case 'dense': {
        const flat = tfjs.reshape(x, [-1, kernel.shape[0]]);
        return tfjs.reshape(biased(tfjs.matMul(flat, kernel)), [...x.shape.slice(0, -1), kernel.shape[1]]);
      }
      case 'conv2d':
        return biased(tfjs.conv2d(x, kernel, step.strides, step.padding, 'NHWC', step.dilations));
      case 'conv2d_transpose':
        return biased(tfjs.conv2dTranspose(x, kernel, [batch, ...step.shape], step.strides, step.padding));
      case 'reshape':
        return tfjs.reshape(x, [batch, ...step.shape]);
      case 'resize':
        return step.interpolation === 'nearest'
          ? tfjs.resizeNearestNeighbor(x, step.size, false, true)
          : tfjs.resizeBilinear(x, step.size, false, true);
      case 'affine':
        return tfjs.add(tfjs.mul(x, arrays[step.scale]), arrays[step.offset]);
      case 'leaky_relu':
        return tfjs.leakyRelu(x, step.negative_slope);
      default:
        return ACTIVATIONS[step.op](x);
    }
  }

  async function embeddedDecoder({steps, arrays}) {
    const [wasm, buffer] = await Promise.all([inflated('wasm'), inflated('weights')]);
    await tfjs.start(wasm);
    const tensors = arrays.map((array) => tfjs.tensor(numbers(buffer, array), array.shape, 'float32'));
    return async (rows) =>
      tfjs.tidy(() => {
        const start = tfjs.tensor(rows, [rows.length, dim], 'float32');
        return steps.reduce((x, step) => run(step, x, tensors), start).dataSync();
      });
  }

  // ---- Decoding by a server ------------------------------------------------------------------

  function serverDecoder({predict_url: url}) {
    const {origin} = new URL(url);
    return async (rows) => {
      let response;
      try {
        // As plain text, since for JSON a browser asks the server for leave first, by a method that
        // TensorFlow Serving does not know.
        response = await fetch(url, {
          method: 'POST',
          headers: {'Content-Type': 'text/plain'},
          body: JSON.stringify({signature_name: 'decode', inputs: {latents: rows}}),
        });
      } catch {
        throw new Error(`${origin} does not answer, or does not let this page ask (CORS).`);
      }
      const answer = await response.json().catch(() => ({}));
      if (!response.ok) throw new Error(`${origin}: ${answer.error || `status ${response.status}`}`);
      return Float32Array.from(answer.outputs.flat(3));
    };
  }

  // ---- Pictures ------------------------------------------------------------------------------

  function draw(canvas, pixels, row = 0) {
    const image = new ImageData(width, height);
    const start = row * height * width * channels;
    for (let i = 0; i < height * width; i++) {
      for (let channel = 0; channel < 3; channel++) {
        const index = start + i * channels + (channels === 3 ? channel : 0);
        image.data[4 * i + channel] = 255 * pixels[index]; // rounds and clamps
      }
      image.data[4 * i + 3] = 255;
    }
    canvas.width = width;
    canvas.height = height;
    canvas.getContext('2d').putImageData(image, 0, 0);
  }

  const latents = (at) => at.map((value, i) => value * data.axes[i].stddev);

  let isDecoding = false;
  let isStale = false;

  // Of many changes while one is decoded, only the last is decoded next.
  async function refresh() {
    isStale = true;
    if (isDecoding || !decode) return;
    isDecoding = true;
    while (isStale) {
      isStale = false;
      try {
        const pixels = await decode([latents(values)]);
        draw(element('picture'), pixels);
        if (element('status').classList.contains('error')) say('');
      } catch (error) {
        say(error.message, {isError: true});
      }
    }
    isDecoding = false;
    schedulePreviews();
  }

  let previewTimer = 0;

  // The ends of all sliders and the ways round, once nothing has moved for a moment.
  function schedulePreviews() {
    clearTimeout(previewTimer);
    previewTimer = setTimeout(() => drawPreviews(0), 250);
  }

  // All small pictures: a canvas, and the values that it shows.
  const allPreviews = () => [
    ...previews.flatMap((canvases, axis) =>
      canvases.map((canvas, end) => [canvas, values.with(axis, (2 * end - 1) * data.maxStddev)]),
    ),
    ...turnPreviews.flatMap((canvases, index) =>
      canvases.map((canvas, i) => [canvas, turned(index, DIRECTIONS[i])]),
    ),
  ];

  async function drawPreviews(first) {
    const count = data.server ? 64 : 2; // requests are slow, and the page must stay quick
    const part = allPreviews().slice(first, first + count);
    if (isDecoding || !part.length) return;
    const timer = previewTimer;
    try {
      const pixels = await decode(part.map(([, at]) => latents(at)));
      part.forEach(([canvas], row) => draw(canvas, pixels, row));
    } catch {
      return; // of a server that has gone: `refresh` says so
    }
    if (timer === previewTimer) previewTimer = setTimeout(() => drawPreviews(first + count), 0);
  }

  // ---- Circles: an angle in the plane of two axes --------------------------------------------

  const DIRECTIONS = [-160, -120, -80, -40, 0, 40, 80, 120, 160];

  // Where the values are on the circles of a plane: an angle from -180 to 180 degrees, a radius.
  function polar({axes, center, stddev, cut}) {
    const [u, v] = axes.map((axis, i) => (values[axis] * data.axes[axis].stddev - center[i]) / stddev[i]);
    const turns = (Math.atan2(v, u) - cut) / (2 * Math.PI);
    return {degrees: 360 * (turns - Math.floor(turns)) - 180, radius: Math.hypot(u, v)};
  }

  // The values in another direction from the center, as far away from it as they are.
  function turned(index, degrees) {
    const {axes, center, stddev, cut, radius: usual} = data.turns[index];
    const {radius} = polar(data.turns[index]);
    const reach = radius < usual / 2 ? usual : radius; // near the center there is no direction to keep
    const angle = (degrees * Math.PI) / 180 + cut + Math.PI;
    const next = [...values];
    [Math.cos(angle), Math.sin(angle)].forEach((unit, i) => {
      next[axes[i]] = (center[i] + stddev[i] * reach * unit) / data.axes[axes[i]].stddev;
    });
    return next;
  }

  // ---- State ---------------------------------------------------------------------------------

  const signed = (value) => (value < 0 ? '−' : '+') + Math.abs(value).toFixed(2);

  // A slider reaches as far as its value. It does not shrink while it is moved, under the pointer.
  function show(axis, isMoved = false) {
    const slider = sliders[axis];
    const needed = Math.max(data.maxStddev, Math.ceil(Math.abs(values[axis]) - 1e-9));
    const reach = isMoved ? Math.max(needed, Number(slider.max)) : needed;
    slider.min = -reach;
    slider.max = reach;
    slider.value = values[axis];
    slider.setAttribute('aria-valuetext', `${signed(values[axis])} standard deviations`);
    outputs[axis].textContent = `${signed(values[axis])} σ`;
  }

  function showTurns() {
    data.turns.forEach((turn, index) => {
      const degrees = Math.round(polar(turn).degrees);
      turnSliders[index].value = degrees;
      turnSliders[index].setAttribute('aria-valuetext', `${degrees} degrees`);
      turnOutputs[index].textContent = `${degrees}°`.replace('-', '−');
    });
  }

  function set(next, {blending = false, isMoved = false} = {}) {
    next.forEach((value, axis) => {
      values[axis] = value;
      show(axis, isMoved);
    });
    showTurns();
    if (!blending) say('');
    if (!blending) endBlend();
    remember();
    return refresh();
  }

  const blendSlider = element('blend-slider');

  // A slider that was moved since is no longer on the way from start to end.
  function endBlend() {
    blendSlider.dataset.used = '';
  }

  function blend() {
    const t = Number(blendSlider.value);
    const [from, to] = [slots.start, slots.end].map((index) => data.pictures[index].values);
    blendSlider.dataset.used = 'yes';
    blendSlider.setAttribute('aria-valuetext', `${Math.round(100 * t)} percent of the way`);
    return set(from.map((value, i) => value + t * (to[i] - value)), {blending: true});
  }

  let hashTimer = 0;

  function hash() {
    const parts = [`z=${values.map((value) => Number(value.toFixed(3))).join(',')}`];
    for (const name of ['start', 'end']) if (slots[name] !== null) parts.push(`${name}=${slots[name]}`);
    if (blendSlider.dataset.used) parts.push(`t=${blendSlider.value}`);
    return `#${parts.join('&')}`;
  }

  // Browsers allow a page few changes of its address in a second.
  function remember() {
    clearTimeout(hashTimer);
    hashTimer = setTimeout(() => history.replaceState(null, '', hash()), 250);
  }

  function recall() {
    const told = new URLSearchParams(location.hash.slice(1));
    for (const name of ['start', 'end']) {
      const index = told.has(name) ? Number(told.get(name)) : -1;
      fill(name, data.pictures[index] ? index : null);
    }
    const t = Number(told.get('t'));
    if (told.has('t') && slots.start !== null && slots.end !== null && t >= 0 && t <= 1) {
      blendSlider.value = t;
      return blend();
    }
    const given = (told.get('z') || '').split(',').map(Number);
    const isWhole = given.length === dim && given.every((value) => Math.abs(value) <= 100);
    return set(isWhole && told.has('z') ? given : new Array(dim).fill(0));
  }

  function say(text, {isError = false, picture = null} = {}) {
    element('status').textContent = text;
    element('original').hidden = !picture;
    if (picture) element('original').src = picture.src;
    element('status').classList.toggle('error', isError);
  }

  // ---- Actions -------------------------------------------------------------------------------

  function normal() {
    return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  }

  // Latents of the sampler: a component of the mixture, then its mean and its factor times noise.
  function sample() {
    const {weights, means, scale_trils: factors} = data.sampler;
    let rest = Math.random() * weights.reduce((sum, weight) => sum + weight, 0);
    let k = 0;
    while (k < weights.length - 1 && rest >= weights[k]) rest -= weights[k++];
    const noise = Array.from({length: dim}, normal);
    return means[k].map((mean, i) => factors[k][i].reduce((sum, factor, j) => sum + factor * noise[j], mean));
  }

  function random() {
    if (!data.sampler) return;
    set(sample().map((latent, i) => latent / (data.axes[i].stddev || Infinity)));
    say('A random sample.');
  }

  function reset() {
    set(new Array(dim).fill(0));
    say('The mean of all codes.');
  }

  async function share() {
    history.replaceState(null, '', hash());
    // Elsewhere the file has another address: there this goes to the end of it.
    const isFile = location.protocol === 'file:';
    const what = isFile ? 'The end of the address' : 'The link';
    const whoHas = isFile ? ' Whoever has the file puts it behind the address of theirs.' : '';
    try {
      await navigator.clipboard.writeText(isFile ? location.hash : location.href);
      say(`${what} is in the clipboard.${whoHas}`);
    } catch {
      say(`${what} is in the address bar.${whoHas}`);
    }
  }

  function fill(name, index) {
    slots[name] = index;
    const slot = element(name);
    const title = name === 'start' ? 'Start' : 'End';
    slot.classList.toggle('filled', index !== null);
    slot.replaceChildren(index === null ? title : thumbnail(data.pictures[index]));
    slot.setAttribute('aria-label', `${title}, ${index === null ? 'empty' : data.pictures[index].name}`);
    blendSlider.disabled = slots.start === null || slots.end === null;
  }

  function choose(name) {
    target = name;
    for (const other of ['start', 'end']) element(other).setAttribute('aria-pressed', other === name);
  }

  function pick(index) {
    fill(target, index);
    blendSlider.value = target === 'start' ? 0 : 1;
    const drawn = blendSlider.disabled ? set(data.pictures[index].values) : blend();
    say(`From ${data.pictures[index].name}.`, {picture: data.pictures[index]});
    return drawn;
  }

  const move = (axis, value) => set(values.with(axis, value), {isMoved: true});

  // ---- The page ------------------------------------------------------------------------------

  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  const thumbnail = (picture) => make('img', {src: picture.src, alt: '', draggable: false});
  const percent = (share) => `${(100 * share).toFixed(1)} %`;

  const followed = ({factor, score}) => (factor ? `, follows ${factor}, score ${score.toFixed(2)}` : '');

  function nameOf(title, {factor, score}, output) {
    const name = make('div', {className: 'name'}, make('b', {textContent: title}));
    if (factor) {
      const arrow = make('span', {className: 'factor', textContent: '→', ariaHidden: 'true'});
      name.append(arrow, make('span', {className: 'factor', textContent: `${factor} ${score.toFixed(2)}`}));
    }
    name.append(output);
    return name;
  }

  function axisRow(axis, index) {
    const slider = make('input', {type: 'range', step: 0.05});
    slider.setAttribute('aria-label', `Axis ${index + 1}, ${percent(axis.share)} of the variance${followed(axis)}`);
    slider.addEventListener('input', () => move(index, Number(slider.value)));
    slider.addEventListener('dblclick', () => move(index, 0));
    slider.addEventListener('keydown', (event) => {
      if (event.key !== 'Backspace' && event.key !== 'Delete') return;
      event.preventDefault();
      move(index, 0);
    });
    sliders.push(slider);
    outputs.push(make('span', {className: 'value', ariaHidden: 'true'}));
    previews.push([0, 1].map(() => make('canvas', {width, height, ariaHidden: 'true'})));
    const name = nameOf(`Axis ${index + 1}`, axis, outputs[index]);
    const largest = Math.max(...data.axes.map((other) => other.share)) || 1;
    const bar = make('i');
    bar.style.width = `${(100 * axis.share) / largest}%`;
    const share = make('div', {className: 'share'}, make('span', {}, bar), percent(axis.share));
    const [low, high] = previews[index];
    return make('li', {className: 'axis'}, low, make('div', {}, name, slider, share), high);
  }

  function turnRow(turn, index) {
    const title = `Axes ${turn.axes.map((axis) => axis + 1).join(' and ')}`;
    // Not to the ends, which are the same: there it would jump from one to the other.
    const slider = make('input', {type: 'range', min: -179, max: 179, step: 1});
    slider.setAttribute('aria-label', `Circle of ${title.toLowerCase()}${followed(turn)}`);
    slider.addEventListener('input', () => set(turned(index, Number(slider.value)), {isMoved: true}));
    turnSliders.push(slider);
    turnOutputs.push(make('span', {className: 'value', ariaHidden: 'true'}));
    turnPreviews.push(DIRECTIONS.map(() => make('canvas', {width, height, ariaHidden: 'true'})));
    const round = make('div', {className: 'round'}, ...turnPreviews[index]);
    return make('li', {className: 'turn'}, nameOf(title, turn, turnOutputs[index]), slider, round);
  }

  function galleryButton(picture, index) {
    const button = make('button', {type: 'button', title: picture.name}, thumbnail(picture));
    button.setAttribute('aria-label', `Start from ${picture.name}`);
    button.addEventListener('click', () => pick(index));
    return button;
  }

  function build() {
    const where = data.server ? `decoded by ${new URL(data.server.predict_url).origin}` : 'decoded in this page';
    element('facts').textContent = `${dim} axes · images of ${width} × ${height}${channels === 3 ? ' in colour' : ''} · ${where}`;
    const scored = data.axes.some((axis) => axis.factor) ? ` → names the factor that it follows, with ${data.scoreName}.` : '';
    element('axes-hint').textContent = `Each slider moves one latent, in its standard deviations; the small pictures are its ends, the bar is its share of the variance.${scored}`;
    element('axes').append(...data.axes.map(axisRow));
    element('turns-part').hidden = !data.turns.length;
    element('turns').append(...data.turns.map(turnRow));
    element('random').hidden = !data.sampler;
    element('gallery-section').hidden = !data.pictures.length;
    element('gallery').append(...data.pictures.map(galleryButton));
    element('picture').style.aspectRatio = `${width} / ${height}`;
    element('random').addEventListener('click', random);
    element('reset').addEventListener('click', reset);
    element('share').addEventListener('click', share);
    blendSlider.addEventListener('input', () => {
      say('');
      return blend();
    });
    for (const name of ['start', 'end']) element(name).addEventListener('click', () => choose(name));
    addEventListener('hashchange', recall);
    addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const key = event.key.toLowerCase();
      if (key === 'r') random();
      else if (key === '0') reset();
      else if (key === 'l') share();
      else if (sliders[Number(key) - 1]) sliders[Number(key) - 1].focus();
    });
  }

  async function start() {
    build();
    try {
      decode = data.server ? serverDecoder(data.server) : await embeddedDecoder(data.decoder);
    } catch (error) {
      say(`This browser cannot run the decoder: ${error.message || error}`, {isError: true});
      return;
    }
    await recall();
    performance.mark('first-picture');
  }

  // For the console: `await explorer.decode([[0, ...]])` gives pixels, `explorer.sample()` latents.
  globalThis.explorer = {decode: (rows) => decode(rows), sample, ready: start()};
})();
