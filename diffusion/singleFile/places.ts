import { FormatError, type SafetensorsFile, type Shape, type TensorEntry } from '../../tensor/index.ts';
import type { Form, KeyTable, Place } from './keyTable.ts';

/** Shapes by the names of tensors. */
export type Shapes = ReadonlyMap<string, Shape>;
/** Where a single file holds the parameters of a part, by their names. */
export type Places = ReadonlyMap<string, Place>;

/**
 * The places of all parameters.
 * @throws FormatError that lists the parameters for which the original layout has no place; `what` names the model
 */
export function placesOf(parameters: Iterable<string>, table: KeyTable, what: string): Places {
  const places = new Map<string, Place>();
  const homeless: string[] = [];
  for (const parameter of parameters) {
    const place = table(parameter);
    if (place === undefined) homeless.push(parameter);
    else places.set(parameter, place);
  }
  if (homeless.length === 0) return places;
  const more = homeless.length > 10 ? `, … and ${homeless.length - 10} more` : '';
  throw new FormatError(
    `${what}: the layout of single files has no place for ${homeless.slice(0, 10).join(', ')}${more}; it is saved as a folder only`,
  );
}

/** The place of each of three runs of rows. */
const thirds: Readonly<Partial<Record<Form, number>>> = { query: 0, key: 1, value: 2 };

/** The shape in which a single file holds a parameter: for a third, that of the whole. */
function shapeIn(form: Form, shape: Shape): Shape {
  if (form === 'conv') return [...shape, 1, 1];
  if (form === 'transposed') return shape.toReversed();
  return thirds[form] === undefined ? shape : [3 * (shape[0] as number), ...shape.slice(1)];
}

/** The tensors that a single file must hold for parameters of these shapes. */
export const tensorsFor = (places: Places, shapes: Shapes): Shapes =>
  new Map([...places].map(([parameter, { key, form }]) => [key, shapeIn(form, shapes.get(parameter) ?? [])]));

/** The tensors of a file by name, as they count for a part: linear layers where 1×1 convolutions are usual are these. */
export const foundFor = (places: Places, entries: SafetensorsFile['entries']): Shapes =>
  new Map(
    [...places.values()].flatMap(({ key, form }) => {
      const shape = entries.get(key)?.shape;
      if (shape === undefined) return [];
      return [[key, form === 'conv' && shape.length === 2 ? [...shape, 1, 1] : shape] as const];
    }),
  );

/**
 * Where the parameters of a part are in a file, whose tensors must be those of `tensorsFor`. A transposed parameter has the shape that
 * it has in the file.
 */
export const entriesIn = (
  places: Places,
  shapes: Shapes,
  { entries, name }: SafetensorsFile,
): Map<string, TensorEntry> =>
  new Map(
    [...places].map(([parameter, { key, form }]) => {
      const entry = entries.get(key);
      const shape = shapes.get(parameter);
      if (entry === undefined || shape === undefined) throw new FormatError(`${name}: there is no tensor ${key}`);
      const third = thirds[form];
      if (form === 'transposed') return [parameter, entry];
      if (third === undefined) return [parameter, { ...entry, shape }];
      const byteLength = entry.byteLength / 3;
      return [parameter, { ...entry, shape, byteLength, offset: entry.offset + third * byteLength }];
    }),
  );
