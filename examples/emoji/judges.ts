/**
 * Trains the networks that judge the main example's images, before anything is tuned:
 *
 *   npx tsx examples/emoji/judges.ts
 *
 * one that tells the two art styles and images of neither apart, from the emoji of all categories but flags, and one that tells the
 * example's captions apart. The first learns nothing from images of held-out captions, which tell its accuracy; the second knows them all,
 * since samples are compared with real images of their captions.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type RealImages, realImages, trainJudges } from 'diffusion-dpo/dpo';
import { openPairs, saveJudges } from 'diffusion-dpo/dpo/node';
import { key } from 'diffusion-dpo/tensor';
import { emojiImages } from './images.ts';

const { values: options } = parseArgs({
  options: { epochs: { type: 'string', default: '50' }, out: { type: 'string' } },
});
const at = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const size = [16, 16] as const;

await using trainPairs = await openPairs(at('pairs-train.parquet'));
await using heldOutPairs = await openPairs(at('pairs-held-out.parquet'));
const skip = { maxSkipped: 0 };
const train = await realImages(trainPairs, size, 'noto', skip);
const heldOut = await realImages(heldOutPairs, size, 'noto', skip);

/** Images of all captions but those that are held out, in both styles. */
async function manyImages(): Promise<RealImages> {
  const unseen = new Set(heldOut.captions);
  const keep = ({ caption, category }: { caption: string; category: string }) =>
    category !== 'Flags' && !unseen.has(caption);
  const styles = await Promise.all(
    (['noto', 'twemoji'] as const).map((style) => emojiImages(style, { size: 16, keep })),
  );
  const values = new Float32Array(styles.reduce((sum, style) => sum + style.values.length, 0));
  values.set(styles[0]?.values ?? []);
  values.set(styles[1]?.values ?? [], styles[0]?.values.length);
  return {
    values,
    captions: styles.flatMap(({ items }) => items.map(({ caption }) => caption)),
    preferred: styles.flatMap(({ items }, style) => items.map(() => style === 0)),
    models: styles.flatMap(({ items }, style) => items.map(() => (style === 0 ? 'noto' : 'twemoji'))),
  };
}

let shown = 0;
const judges = await trainJudges({
  ...{ train, heldOut, size, key: key(0), kindImages: await manyImages(), kindEpochs: Number(options.epochs) },
  onStep: (done, total) => {
    if (Math.floor((10 * done) / total) > shown) console.log(`${10 * ++shown} %`);
  },
});
await saveJudges(options.out ?? at('judges'), judges);
const { value, low, high } = judges.accuracy;
console.log(`held-out accuracy of the styles: ${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`);
