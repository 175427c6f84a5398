import { resolve } from 'node:path';

/** Settings that say where and how often, not what is computed: a run may go on with others. */
const free: ReadonlySet<string> = new Set([
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

/** Settings that name files: written in another way they may be the same. */
const paths: ReadonlySet<string> = new Set(['model', 'pairs', 'images']);

function absolute(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(absolute);
  return typeof value === 'string' ? resolve(value) : value;
}

/** Which settings of a run that began earlier are others now, in lines for people. */
export function settingsChanges(before: Readonly<Record<string, unknown>>, now: object): string[] {
  return Object.entries(now).flatMap(([name, value]) => {
    const [old, current] = [JSON.stringify(before[name]), JSON.stringify(value)];
    const [from, to] = [before[name], value].map((one) => JSON.stringify(paths.has(name) ? absolute(one) : one));
    return free.has(name) || from === to ? [] : [`${name} was ${old} and is ${current}`];
  });
}

/** Equal for settings that compute the same. */
export const settingsIdentity = (settings: object): string =>
  JSON.stringify(
    Object.entries(settings).flatMap(([name, value]) =>
      free.has(name) ? [] : [[name, paths.has(name) ? absolute(value) : value]],
    ),
  );
