import { clipTextModel, unet2dConditionModel } from '../../../diffusion/index.ts';
import { flattenTree, key, sizeOf } from '../../../tensor/index.ts';
import { isObject, type JsonObject } from '../params.ts';
import { type CaseReport, type Family, type GoldenFile, messageOf } from './family.ts';

/**
 * Names and shapes of all tensors of published models, beside their configurations. Parameters are lazy, so nothing of
 * the models' size is ever allocated, and there is no tensor to compare.
 */
export const manifests: Family = {
  name: 'manifests',
  claim: (files) =>
    files.filter(isManifest).flatMap((manifest) => {
      const config = files.find(({ path }) => path === manifest.path.replace(/manifest\.json$/, 'config.json'));
      if (config === undefined) return [];
      return [
        {
          files: [manifest.path, config.path],
          check: async () => ({ expectedTensors: 0, cases: [checkManifest(manifest, config.json)] }),
        },
      ];
    }),
};

const isManifest = ({ path, json }: GoldenFile): boolean =>
  path.endsWith('.manifest.json') && isObject(json) && isObject(json.shapes);

const models: Readonly<Record<string, (config: unknown) => { init(random: ReturnType<typeof key>): unknown }>> = {
  UNet2DConditionModel: (config) => unet2dConditionModel(config),
  CLIPTextModel: clipTextModel,
  CLIPTextModelWithProjection: clipTextModel,
};

function checkManifest({ path, json }: GoldenFile, config: unknown): CaseReport {
  const { class: className, parameters, tensors, shapes } = json as JsonObject & { readonly shapes: JsonObject };
  const problems: string[] = [];
  try {
    const model = models[String(className)];
    if (model === undefined) throw new Error(`the class ${JSON.stringify(className)} is not known`);
    const leaves = flattenTree(model(config).init(key(0)));
    const found = new Map(leaves.map(({ path, tensor }) => [path, tensor.shape.join()]));
    const wanted = new Map(Object.entries(shapes).map(([name, shape]) => [name, String(shape)]));
    for (const [name, shape] of wanted) {
      if (found.get(name) !== shape) problems.push(`${name}: [${shape}] is [${found.get(name) ?? 'not there'}] here`);
    }
    for (const name of found.keys()) if (!wanted.has(name)) problems.push(`${name}: is not in the published model`);
    const count = leaves.reduce((sum, { tensor }) => sum + sizeOf(tensor.shape), 0);
    if (count !== parameters) problems.push(`there are ${count} parameters, not ${parameters}`);
    if (leaves.length !== tensors) problems.push(`there are ${leaves.length} tensors, not ${tensors}`);
  } catch (error) {
    problems.push(messageOf(error));
  }
  return { file: path, name: String(className), problems, comparisons: [] };
}
