import { resolve } from 'node:path';

/** Settings that do not change what the steps compute: a run may resume with others. */
const changeable: ReadonlySet<string> = new Set([
  'output',
  'device',
  'checkpointEvery',
  'keepCheckpoints',
  'validation',
  'validateEvery',
  'validationDraws',
  'tensorboard',
  'maxSkipped',
  'saveDtype',
  'sampleSteps',
  'guidance',
]);

/** Settings that are paths: two spellings of one path are equal. */
const paths: ReadonlySet<string> = new Set(['model', 'pairs', 'images']);

function absolute(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(absolute);
  return typeof value === 'string' ? resolve(value) : value;
}

/** The settings that differ from those of an earlier call, one line each: `beta was 500 and is 50`. */
export function settingsChanges(before: Readonly<Record<string, unknown>>, now: object): string[] {
  return Object.entries(now).flatMap(([name, value]) => {
    const [old, current] = [JSON.stringify(before[name]), JSON.stringify(value)];
    const [from, to] = [before[name], value].map((one) => JSON.stringify(paths.has(name) ? absolute(one) : one));
    return changeable.has(name) || from === to ? [] : [`${name} was ${old} and is ${current}`];
  });
}

/** A text that is equal for settings with which steps compute the same. */
export const settingsIdentity = (settings: object): string =>
  JSON.stringify(
    Object.entries(settings).flatMap(([name, value]) =>
      changeable.has(name) ? [] : [[name, paths.has(name) ? absolute(value) : value]],
    ),
  );
