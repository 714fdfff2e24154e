/** The camera, frame by frame. */
import { BadInput, Picture } from '../onpar';
import type { Input } from './session';

export class Camera {
  #running = true;

  private constructor(
    readonly video: HTMLVideoElement,
    readonly stream: MediaStream,
  ) {}

  static async open(): Promise<Camera> {
    const stream = await navigator.mediaDevices
      ?.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } })
      .catch((error: Error) => {
        throw new BadInput(
          `the camera can't be used (${error.name}); allow it in the browser's settings, or choose a file`,
        );
      });
    if (stream === undefined)
      throw new BadInput('this page may not ask for a camera; serve it over https, or choose a file');
    const video = document.createElement('video');
    video.srcObject = stream;
    video.muted = true;
    video.playsInline = true;
    await video.play();
    return new Camera(video, stream);
  }

  /** Call `each` with every frame until {@link close}; a frame that comes while it works is not asked for. */
  async frames(each: (input: Input, timestampMs: number) => Promise<void>): Promise<void> {
    while (this.#running) {
      await new Promise((done) => this.video.requestVideoFrameCallback(done));
      if (!this.#running) return;
      const { videoWidth: width, videoHeight: height } = this.video;
      await each({ data: Picture.fromImage(this.video, width, height), shown: this.video }, performance.now());
    }
  }

  close(): void {
    this.#running = false;
    for (const track of this.stream.getTracks()) track.stop();
  }
}
