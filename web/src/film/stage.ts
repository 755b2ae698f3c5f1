/**
 * The film on the screen: Cornerstone3D's stack viewport, drawn by the processor.
 *
 * Its processor path shows the same pixels on every machine, and reading-room computers are often virtual ones
 * without a graphics processor, where its WebGL path needs seconds a frame.
 */

import {
  cache,
  Enums,
  imageLoader,
  init,
  metaData,
  RenderingEngine,
  type StackViewport,
  type Types,
} from "@cornerstonejs/core";

import type { GreyWindow, Viewing } from "../api/types";
import { type Affine, apply, type Point } from "./geometry";

export interface Picture {
  id: string;
  viewing: Viewing;
  values: Uint8Array | Uint16Array;
  /** Height of a pixel over its width: 1 unless the film's spacing is believable and says otherwise. */
  aspect: number;
}

export interface Look {
  window: GreyWindow;
  inverted: boolean;
  /** Clockwise, in degrees: 0, 90, 180 or 270. */
  rotation: number;
  flipped: boolean;
}

const SCHEME = "pleura";
const VIEWPORT = "film";
const DEEPEST = 40; // screen pixels a film's pixel
const SHALLOWEST = 0.02;
const SETTLED_MS = 120;

const UPRIGHT: Look = {
  window: { name: "", center: 0.5, width: 1 },
  inverted: false,
  rotation: 0,
  flipped: false,
};

let shown: Picture | null = null;
let ready = false;

export class Stage {
  private readonly engine: RenderingEngine;
  private readonly viewport: StackViewport;
  private readonly resized: ResizeObserver;
  private fitted = true;
  private settling: ReturnType<typeof setTimeout> | undefined;
  private look: Look = UPRIGHT;

  /**
   * @param element an empty box to draw in.
   * @param onDrawn called after each drawing, so that what lies above can follow.
   */
  constructor(
    private readonly element: HTMLDivElement,
    onDrawn: () => void,
  ) {
    prepare();
    this.engine = new RenderingEngine("pleura");
    this.engine.enableElement({
      viewportId: VIEWPORT,
      type: Enums.ViewportType.STACK,
      element,
      defaultOptions: { background: [0, 0, 0] },
    });
    this.viewport = this.engine.getViewport(VIEWPORT) as StackViewport;
    element.addEventListener(Enums.Events.IMAGE_RENDERED, onDrawn);
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(element);
  }

  destroy(): void {
    this.resized.disconnect();
    clearTimeout(this.settling);
    this.engine.destroy();
  }

  /** Whether there is a film on the stage. */
  get shows(): boolean {
    return shown !== null && this.viewport.getCurrentImageId() === address(shown);
  }

  async show(picture: Picture, look: Look): Promise<void> {
    const before = shown;
    shown = picture;
    await this.viewport.setStack([address(picture)]);
    if (before && before.id !== shown.id) letGo(before);
    if (!this.shows) return; // another film was opened meanwhile
    this.use(look);
    this.fit();
  }

  setLook(look: Look): void {
    if (!this.shows) return;
    this.use(look);
    this.draw();
  }

  private use(look: Look): void {
    const { inverted, rotation, flipped } = look;
    const { center, width } = look.window;
    const turned = (rotation - this.look.rotation) % 180 !== 0;
    this.look = look;
    this.viewport.setProperties({
      voiRange: { lower: center - width / 2, upper: center + width / 2 },
      invert: inverted,
    });
    this.viewport.setViewPresentation({ rotation });
    this.viewport.setCamera({ flipHorizontal: flipped }); // which also makes the rotation count
    if (turned && this.fitted) this.fit();
  }

  /** Shows all of the film, as large as it goes. */
  fit(): void {
    if (!shown) return;
    const { clientWidth, clientHeight } = this.element;
    const [width, height] = extent(shown, this.look.rotation);
    const scale = Math.min(clientWidth / width, clientHeight / height) * devicePixelRatio;
    this.viewport.resetCamera(); // forgets the mirroring, and takes no notice of the rotation
    this.viewport.setCamera({ scale, flipHorizontal: this.look.flipped });
    this.fitted = true;
    this.draw();
  }

  /** Screen pixels a pixel of the film, 1 being its full resolution. */
  get scale(): number {
    return this.viewport.getZoom() / devicePixelRatio;
  }

  /**
   * Zooms by a factor.
   *
   * @param about a place on the stage, in CSS pixels.
   * @param to where what lies there is to lie afterwards.
   */
  zoom(factor: number, about: Point = this.middle, to: Point = about): void {
    const scale = Math.min(DEEPEST, Math.max(SHALLOWEST, this.scale * factor));
    const change = this.scale / scale;
    const fixed = this.viewport.canvasToWorld([about[0], about[1]]);
    const focus = this.viewport.canvasToWorld([this.middle[0], this.middle[1]]);
    const end = this.viewport.canvasToWorld([to[0], to[1]]);
    const moved = fixed.map((v, i) => v + (at(focus, i) - at(end, i)) * change);
    this.viewport.setCamera({
      focalPoint: moved as Types.Point3,
      scale: scale * devicePixelRatio,
    });
    this.fitted = false;
    this.draw();
  }

  /** Moves the film by CSS pixels. */
  pan(dx: number, dy: number): void {
    const [x, y] = this.middle;
    this.viewport.setCamera({ focalPoint: this.viewport.canvasToWorld([x - dx, y - dy]) });
    this.fitted = false;
    this.draw();
  }

  /** Moves the film so that a point of it is in the middle. */
  centre(point: Point): void {
    const [x, y] = apply(this.affine(), point);
    this.pan(this.middle[0] - x, this.middle[1] - y);
  }

  affine(): Affine {
    const aspect = shown?.aspect ?? 1;
    const [e, f] = this.viewport.worldToCanvas([0, 0, 0]);
    const [a, b] = this.viewport.worldToCanvas([1, 0, 0]);
    const [c, d] = this.viewport.worldToCanvas([0, aspect, 0]);
    return [a - e, b - f, c - e, d - f, e, f];
  }

  /** Where on the film a place on the stage lies. */
  toFilm([x, y]: Point): Point {
    const [wx, wy] = this.viewport.canvasToWorld([x, y]);
    return [wx, wy / (shown?.aspect ?? 1)];
  }

  private get middle(): Point {
    return [this.element.clientWidth / 2, this.element.clientHeight / 2];
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.element;
    if (clientWidth === 0 || clientHeight === 0) return;
    // The engine's own resizing forgets that a screen may have several pixels to a CSS pixel.
    const canvas = this.viewport.getCanvas();
    canvas.width = Math.round(clientWidth * devicePixelRatio);
    canvas.height = Math.round(clientHeight * devicePixelRatio);
    if (!this.shows) return;
    if (this.fitted) this.fit();
    else {
      this.viewport.setCamera({}); // takes the new size in
      this.draw();
    }
  }

  /** Draws at once, and finely as soon as nothing moves: that takes three times as long. */
  private draw(): void {
    this.render("low");
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.render("high"), SETTLED_MS);
  }

  private render(quality: ImageSmoothingQuality): void {
    // Drawn coarsely, a film of 3000 rows shrunk to 700 would have patterns that are not in it.
    const context = this.viewport.getCanvas().getContext("2d");
    if (context) context.imageSmoothingQuality = quality;
    this.viewport.render();
  }
}

function at(point: Types.Point3, i: number): number {
  return point[i] as number;
}

/** Width and height of a film on the screen, in its smaller pixel side, after a rotation. */
function extent({ viewing, aspect }: Picture, rotation: number): Point {
  const { rows, columns } = viewing;
  const upright: Point = aspect >= 1 ? [columns, rows * aspect] : [columns / aspect, rows];
  return rotation % 180 === 0 ? upright : [upright[1], upright[0]];
}

function address(picture: Picture): string {
  return `${SCHEME}:${picture.id}`;
}

/** Has Cornerstone forget a film: of itself it keeps 3 GiB of them, and which are kept is the page's to say. */
function letGo(picture: Picture): void {
  const imageId = address(picture);
  if (cache.getImageLoadObject(imageId)) cache.removeImageLoadObject(imageId);
}

function prepare(): void {
  if (ready) return;
  ready = true;
  init({ rendering: { useCPURendering: true } } as Parameters<typeof init>[0]);
  imageLoader.registerImageLoader(SCHEME, (imageId) => ({
    promise: Promise.resolve(image(imageId, shown as Picture)),
  }));
  metaData.addProvider((kind: string) => (shown ? header(kind, shown) : undefined), 1);
}

function header(kind: string, { viewing, aspect }: Picture): object | undefined {
  const { rows, columns, format } = viewing;
  const bits = format === "u8" ? 8 : 16;
  if (kind === Enums.MetadataModules.IMAGE_PLANE) {
    return {
      rows,
      columns,
      rowPixelSpacing: aspect,
      columnPixelSpacing: 1,
      imagePositionPatient: [0, 0, 0],
      imageOrientationPatient: [1, 0, 0, 0, 1, 0],
      rowCosines: [1, 0, 0],
      columnCosines: [0, 1, 0],
      frameOfReferenceUID: SCHEME,
    };
  }
  if (kind === Enums.MetadataModules.IMAGE_PIXEL) {
    return {
      bitsAllocated: bits,
      bitsStored: bits,
      highBit: bits - 1,
      samplesPerPixel: 1,
      photometricInterpretation: "MONOCHROME2",
      pixelRepresentation: 0,
    };
  }
  return kind === Enums.MetadataModules.GENERAL_SERIES ? { modality: "DX" } : undefined;
}

function image(imageId: string, { viewing, values, aspect }: Picture): Types.IImage {
  const { rows, columns, maximum, windows } = viewing;
  const first = windows[0] as GreyWindow;
  return {
    imageId,
    minPixelValue: 0,
    maxPixelValue: maximum,
    slope: 1,
    intercept: 0,
    windowCenter: first.center,
    windowWidth: first.width,
    voiLUTFunction: Enums.VOILUTFunctionType.LINEAR,
    getPixelData: () => values,
    getCanvas: () => document.createElement("canvas"),
    rows,
    columns,
    height: rows,
    width: columns,
    color: false,
    rgba: false,
    numberOfComponents: 1,
    columnPixelSpacing: 1,
    rowPixelSpacing: aspect,
    invert: false,
    sizeInBytes: values.byteLength,
    dataType: viewing.format === "u8" ? "Uint8Array" : "Uint16Array",
    imageFrame: {} as never,
  };
}
