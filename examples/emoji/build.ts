/**
 * Makes the data of the main example from the atlases: captioned images of both art styles, and preference pairs, one for
 * each caption, of which Noto's image is preferred.
 *
 *   npx tsx examples/emoji/build.ts
 *
 * A fifth of the captions is held out. Of the other pairs a tenth has its label flipped, as people's labels are wrong too.
 */
import { fileURLToPath } from 'node:url';
import { writeCaptioned, writePickAPic } from 'diffusion-dpo/dpo/node';
import { key, random, read } from 'diffusion-dpo/tensor';
import { emojiImage, emojiImages } from './images.ts';

const categories = ['Smileys & Emotion', 'Animals & Nature', 'Food & Drink'];
/** Hearts and signs of emotion have the same shapes in both styles. */
const alike = ['heart', 'emotion'];
const size = 16;
const seed = 0;
const heldOutShare = 0.2;
const flippedShare = 0.1;

const at = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const load = (style: 'noto' | 'twemoji') =>
  emojiImages(style, {
    size,
    keep: ({ category, subcategory }) => categories.includes(category) && !alike.includes(subcategory),
  });
const [twemoji, noto] = [await load('twemoji'), await load('noto')];

await writeCaptioned(
  [twemoji, noto].flatMap((style) => style.items.map(({ caption }, i) => ({ caption, image: emojiImage(style, i) }))),
  at('pictures.parquet'),
);

const count = noto.items.length;
const [orderKey, flipKey] = random.split(key(seed));
const order = Array.from(await read(random.permutation(orderKey, count)));
const heldOut = Math.round(heldOutShare * count);
const flipped = new Set(
  Array.from(await read(random.permutation(flipKey, count - heldOut))).slice(
    0,
    Math.round(flippedShare * (count - heldOut)),
  ),
);
const pairOf = (i: number, isFlipped: boolean) => {
  const [preferred, other] = [emojiImage(noto, i), emojiImage(twemoji, i)];
  const { caption } = noto.items[i] as (typeof noto.items)[number];
  return isFlipped
    ? { caption, winner: other, loser: preferred, models: { winner: 'twemoji', loser: 'noto' } }
    : { caption, winner: preferred, loser: other, models: { winner: 'noto', loser: 'twemoji' } };
};
await writePickAPic(
  order.slice(heldOut).map((i, place) => pairOf(i, flipped.has(place))),
  at('pairs-train.parquet'),
  { seed },
);
await writePickAPic(
  order.slice(0, heldOut).map((i) => pairOf(i, false)),
  at('pairs-held-out.parquet'),
  { seed: seed + 1 },
);
console.log(
  `${count} captions: ${count - heldOut} pairs to train on, ${flipped.size} of them flipped, ${heldOut} held out`,
);
