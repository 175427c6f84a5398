import { FormatError, type SafetensorsFile } from '../../tensor/index.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import { countBlocks, describeBlocks, sameBlocks } from './blocks.ts';
import { type FilePart, tensorsOf, textPart, unetPart, vaePart } from './fileParts.ts';
import { knownTexts, knownVaes } from './knownParts.ts';
import { type Family, type KnownUNet, knownUNets } from './knownUNets.ts';
import { foundFor } from './places.ts';
import type { Recognised } from './recognise.ts';

/** The configurations of the models of a pipeline. */
export interface PartConfigs {
  /** What the model is called in messages. */
  readonly name: string;
  readonly unet: JsonObject;
  /** Of the text encoders, in their order. */
  readonly texts: readonly [JsonObject, ...JsonObject[]];
  readonly vae: JsonObject | undefined;
}

const instead =
  'give a folder with its configurations, laid out as the folder of a pipeline but without weights: --model-config FOLDER';

/** The UNet of a family whose blocks are those of a file. */
function knownUNet(file: Pick<SafetensorsFile, 'name' | 'names'>, family: Family): KnownUNet {
  const blocks = countBlocks(file.names);
  const own = knownUNets.filter((one) => one.family === family);
  const found = own.find(({ config }) => sameBlocks(blocks, countBlocks(tensorsOf([unetPart(config)]).keys())));
  if (found !== undefined) return found;
  throw new FormatError(
    `${file.name}: its UNet is none of those that are known here (${own.map(({ name }) => name).join(', ')}): the numbers of ` +
      `transformers behind its blocks are ${describeBlocks(blocks)}; ${instead}`,
  );
}

/** Tensors that tell the widths of a part: its first layer, and what its embeddings and projections take. */
const tellsWidth = /(input_blocks\.0\.0|label_emb\.0\.0|token_embedding|text_projection|\.conv_in)(\.weight)?$/;
/** Cross-attention tells the width of the text; its layers all look at the same, so the first is enough. */
const isCrossAttention = (name: string): boolean => name.endsWith('.attn2.to_k.weight');

/**
 * The configurations of a single file from the table of published models, by its blocks.
 * @throws FormatError that names `--model-config` where its blocks or widths are others
 */
export function knownConfigs(
  file: Pick<SafetensorsFile, 'name' | 'names' | 'entries'>,
  { family, texts: places, hasVae, hasGaps }: Recognised,
): PartConfigs {
  const { name, config: unet } = knownUNet(file, family);
  const [texts, vae] = [knownTexts[family], knownVaes[family]];
  const parts: FilePart[] = [
    unetPart(unet, { hasGaps }),
    ...places.map((place, i) => textPart(texts[i] ?? texts[0], place)),
    ...(hasVae ? [vaePart(vae)] : []),
  ];
  const differ = parts.flatMap((part) => {
    const found = foundFor(part.places, file.entries);
    const wanted = [...tensorsOf([part])].filter(([one]) => found.has(one));
    const cross = wanted.find(([one]) => isCrossAttention(one));
    const telling = [...wanted.filter(([one]) => tellsWidth.test(one)), ...(cross === undefined ? [] : [cross])];
    return telling
      .filter(([one, shape]) => String(found.get(one)) !== String(shape))
      .map(([one, shape]) => `${one} is [${found.get(one)?.join(', ')}], there [${shape.join(', ')}]`);
  });
  if (differ.length === 0) return { name, unet, texts, vae };
  throw new FormatError(
    `${file.name}: has the blocks of ${name}, but other widths, which are not known here: ${differ.join('; ')}; ${instead}`,
  );
}
