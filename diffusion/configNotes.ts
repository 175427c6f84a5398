import type { JsonObject } from './checkpoint/json.ts';
import { type Field, passedOver } from './config.ts';
import { schedulerNotes } from './samplers/fromConfig.ts';
import { clipTextModelFields } from './text/clipTextModel.ts';
import { unet2dConditionModelFields } from './unet/unet2dConditionModel.ts';
import { unet2dModelFields } from './unet/unet2dModel.ts';

const models: ReadonlyMap<unknown, Readonly<Record<string, Field<unknown>>>> = new Map<
  unknown,
  Readonly<Record<string, Field<unknown>>>
>([
  ['UNet2DModel', unet2dModelFields],
  ['UNet2DConditionModel', unet2dConditionModelFields],
  ['CLIPTextModel', clipTextModelFields],
  ['CLIPTextModelWithProjection', clipTextModelFields],
]);

/**
 * What a reader of a scheduler's or model's configuration should be told once: which of its fields have no effect here, since they
 * belong to other classes or do not matter, and whether sampling clips. Lines for people, none where there is nothing to say.
 * @throws TensorError for a scheduler's configuration that cannot be used.
 */
export function configNotes(json: JsonObject): string[] {
  const { _class_name, architectures } = json;
  const fields = models.get(_class_name ?? (Array.isArray(architectures) ? architectures[0] : undefined));
  const notes =
    fields === undefined ? schedulerNotes(json) : { passedOver: passedOver(json, fields), clipping: undefined };
  return [
    ...(notes?.clipping === undefined ? [] : [notes.clipping]),
    ...(notes === undefined || notes.passedOver.length === 0
      ? []
      : [`fields without effect here: ${notes.passedOver.join(', ')}`]),
  ];
}
