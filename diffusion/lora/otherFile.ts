import { FormatError, flattenTree, type SafetensorsReader } from '../../tensor/index.ts';
import { describeOther } from '../singleFile/recognise.ts';

const looksLikeLora = /lora|hada_|lokr_|oft_|\.diff(_b)?$/;

/** The attention to text of a UNet, in a file of LoRA and in the model. */
const toTextInFile = /attn2[._](processor\.)?to_k[._](lora[._])?(lora_A|lora_down|down)\.weight$/;
const toTextInModel = /attn2\.to_k\.weight$/;

/** Published models, by the width of the text that their UNets attend to. */
const models: Readonly<Record<number, string>> = {
  768: 'Stable Diffusion 1',
  1024: 'Stable Diffusion 2',
  1280: 'the refiner of Stable Diffusion XL',
  2048: 'Stable Diffusion XL',
};
const describeWidth = (width: number): string =>
  `text of width ${width}${models[width] === undefined ? '' : ` (${models[width]})`}`;

/**
 * Refuses what is no LoRA of this UNet, by what it is.
 * @throws FormatError for a file without any adapters, and for a LoRA of another model, which attends to text of another width
 */
export async function refuseOtherFile(reader: SafetensorsReader, unet: unknown, place: string): Promise<void> {
  const { name: file, names } = reader;
  if (names.length > 0 && !names.some((name) => looksLikeLora.test(name))) {
    const what = describeOther(names);
    const seen = `it holds ${names.length} tensors, such as ${names.slice(0, 3).join(', ')}`;
    throw new FormatError(`${file}: this is no LoRA, ${what === undefined ? `${seen}` : `but ${what}`}`);
  }
  const inFile = names.find((name) => toTextInFile.test(name));
  const inModel = flattenTree(unet).find(({ path }) => toTextInModel.test(path));
  if (inFile === undefined || inModel === undefined) return;
  const [theirs, ours] = [(await reader.entry(inFile)).shape[1], inModel.tensor.shape[1]];
  if (theirs === undefined || ours === undefined || theirs === ours) return;
  throw new FormatError(
    `${file}: this LoRA is of another model than ${place}: it is made for a UNet that attends to ${describeWidth(theirs)}, ` +
      `and this one attends to ${describeWidth(ours)}; use it with the model that it was trained on`,
  );
}
