/** Plays a character on a canvas: textured triangles by WebGL, unlit. */
import { BackendUnavailable, type CharacterAnimator } from '../onpar';

const VERTEX = `
attribute vec3 position;
attribute vec2 uv;
uniform vec4 window;
varying vec2 place;
void main() {
  place = uv;
  gl_Position = vec4((position.xy - window.xy) * window.zw, -0.5 * position.z, 1.0);
}`;
const FRAGMENT = `
precision mediump float;
uniform sampler2D drawing;
varying vec2 place;
void main() {
  vec4 color = texture2D(drawing, place);
  if (color.a < 0.5) discard;
  gl_FragColor = vec4(color.rgb, 1.0);
}`;
const MARGIN = 1.08;
/** Frames of a clip that say how much room it takes. */
const LOOKED_AT = 40;

export class Player {
  #running = 0;
  #began: number | undefined;
  #clip: string | undefined;

  private constructor(
    readonly animator: CharacterAnimator,
    private readonly gl: WebGLRenderingContext,
    private readonly positions: WebGLBuffer,
  ) {}

  static async open(canvas: HTMLCanvasElement, animator: CharacterAnimator): Promise<Player> {
    const gl = canvas.getContext('webgl', { alpha: true, preserveDrawingBuffer: true });
    if (gl === null) throw new BackendUnavailable('this browser shows no WebGL; allow it, or use another browser');
    const { faces, uvs, texturePng } = animator.character;
    const image = await createImageBitmap(new Blob([texturePng], { type: 'image/png' }));
    const program = build(gl);
    const positions = gl.createBuffer();
    attribute(gl, program, 'uv', gl.createBuffer(), 2);
    gl.bufferData(gl.ARRAY_BUFFER, uvs, gl.STATIC_DRAW);
    attribute(gl, program, 'position', positions, 3);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
    // Numbers of more than 16 bits are an extension, which every WebGL of today has.
    gl.getExtension('OES_element_index_uint');
    paint(gl, image);
    gl.uniform4fv(gl.getUniformLocation(program, 'window'), view(canvas, animator));
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.enable(gl.DEPTH_TEST);
    return new Player(animator, gl, positions);
  }

  /** Show the character at a time since the clip's begin. */
  draw(timeMs: number): void {
    const { gl } = this;
    const { faces } = this.animator.character;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.positions);
    gl.bufferData(gl.ARRAY_BUFFER, this.animator.pose(timeMs, this.#clip), gl.DYNAMIC_DRAW);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.drawElements(gl.TRIANGLES, faces.length, faces instanceof Uint16Array ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT, 0);
  }

  /** Show another clip from its begin. */
  choose(clip: string): void {
    this.#clip = clip;
    this.#began = undefined;
    if (!this.playing) this.draw(0);
  }

  get playing(): boolean {
    return this.#running !== 0;
  }

  play(): void {
    const show = (now: number): void => {
      this.#began ??= now;
      this.draw(now - this.#began);
      this.#running = requestAnimationFrame(show);
    };
    if (!this.playing) this.#running = requestAnimationFrame(show);
  }

  stop(): void {
    cancelAnimationFrame(this.#running);
    this.#running = 0;
    this.#began = undefined;
  }
}

function build(gl: WebGLRenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ] as const) {
    const shader = gl.createShader(kind)!;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS))
    throw new BackendUnavailable(`WebGL can't be used (${gl.getProgramInfoLog(program)}); use another browser`);
  gl.useProgram(program);
  return program;
}

function attribute(gl: WebGLRenderingContext, program: WebGLProgram, name: string, buffer: WebGLBuffer, size: number) {
  const at = gl.getAttribLocation(program, name);
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.enableVertexAttribArray(at);
  gl.vertexAttribPointer(at, size, gl.FLOAT, false, 0, 0);
}

function paint(gl: WebGLRenderingContext, image: ImageBitmap): void {
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  for (const size of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, size, gl.LINEAR);
}

/** Middle and scale that keep every frame of every clip in view: a figure is as large when it jumps as when it walks. */
function view({ width, height }: HTMLCanvasElement, animator: CharacterAnimator): Float32Array {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (const clip of animator.character.clips) {
    const step = Math.max(1, Math.floor(clip.frames / LOOKED_AT));
    for (let frame = 0; frame < clip.frames; frame += step) {
      animator.pose(((frame + 0.5) * 1000) / clip.frameRate, clip.name).forEach((value, i) => {
        if (i % 3 === 2) return;
        low[i % 3] = Math.min(low[i % 3]!, value);
        high[i % 3] = Math.max(high[i % 3]!, value);
      });
    }
  }
  const scale = 2 / (MARGIN * Math.max((high[0]! - low[0]!) / width, (high[1]! - low[1]!) / height));
  return new Float32Array([(low[0]! + high[0]!) / 2, (low[1]! + high[1]!) / 2, scale / width, scale / height]);
}
