import { TensorError } from '../../tensor/index.ts';
import { encodePng } from './encodePng.ts';
import { checkImageSize, type Image } from './image.ts';
import { resizeWindow } from './resize.ts';

/** Options of `contactSheet`. */
export interface ContactSheetOptions {
  /** Pairs in a row; default 4. */
  readonly columns?: number;
  /** Side of the square that an image is fitted into, in pixels; default 128. */
  readonly cell?: number;
}

type Colour = readonly [number, number, number];
const [paper, winnerFrame, loserFrame]: readonly Colour[] = [
  [255, 255, 255],
  [0, 114, 178],
  [213, 94, 0],
] as const;
const [frame, gap] = [3, 10];

/**
 * A PNG file with a sheet of pairs: the preferred image on the left in a blue frame, the other on its right in an orange one.
 * Images keep their proportions; small ones are enlarged by a whole factor, without interpolation.
 * @throws TensorError without pairs, ImageError where the sheet is too large
 */
export function contactSheet(
  pairs: readonly { readonly winner: Image; readonly loser: Image }[],
  { columns = 4, cell = 128 }: ContactSheetOptions = {},
): Uint8Array {
  if (pairs.length === 0) throw new TensorError('contactSheet: there are no pairs to show');
  const framed = cell + 2 * frame;
  const across = Math.min(columns, pairs.length);
  const sheet = filled(
    gap + across * (2 * framed + gap),
    gap + Math.ceil(pairs.length / across) * (framed + gap),
    paper as Colour,
  );
  pairs.forEach(({ winner, loser }, i) => {
    const left = gap + (i % across) * (2 * framed + gap);
    const top = gap + Math.floor(i / across) * (framed + gap);
    for (const [side, image, colour] of [
      [0, winner, winnerFrame],
      [1, loser, loserFrame],
    ] as const) {
      const at = left + side * framed;
      paste(sheet, filled(framed, framed, colour as Colour), at, top);
      paste(sheet, filled(cell, cell, paper as Colour), at + frame, top + frame);
      const shown = fitted(image, cell);
      paste(sheet, shown, at + frame + ((cell - shown.width) >> 1), top + frame + ((cell - shown.height) >> 1));
    }
  });
  return encodePng(sheet);
}

function filled(width: number, height: number, colour: Colour): Image {
  checkImageSize(width, height, 'contactSheet');
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = colour[i % 3] as number;
  return { width, height, data };
}

function paste(onto: Image, image: Image, left: number, top: number): void {
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
    onto.data.set(row, ((top + y) * onto.width + left) * 3);
  }
}

/** The image resized to fit a square of `cell` pixels. */
function fitted(image: Image, cell: number): Image {
  const zoom = Math.floor(cell / Math.max(image.width, image.height));
  if (zoom >= 1) return zoomed(image, zoom);
  const scale = cell / Math.max(image.width, image.height);
  const [rows, columns] = [image.height, image.width].map((side) => Math.max(1, Math.round(side * scale))) as [
    number,
    number,
  ];
  const planes = resizeWindow(image, { height: rows, width: columns, top: 0, left: 0, rows, columns });
  const area = rows * columns;
  const data = Uint8Array.from({ length: area * 3 }, (_, i) =>
    Math.round(planes[(i % 3) * area + Math.floor(i / 3)] as number),
  );
  return { width: columns, height: rows, data };
}

function zoomed({ width, height, data }: Image, zoom: number): Image {
  const large = new Uint8Array(width * height * zoom * zoom * 3);
  for (let y = 0; y < height * zoom; y++) {
    for (let x = 0; x < width * zoom; x++) {
      const from = (Math.floor(y / zoom) * width + Math.floor(x / zoom)) * 3;
      large.set(data.subarray(from, from + 3), (y * width * zoom + x) * 3);
    }
  }
  return { width: width * zoom, height: height * zoom, data: large };
}
