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

/** Which settings of a run that began earlier are others now, in lines for people. */
export function settingsChanges(before: Readonly<Record<string, unknown>>, now: object): string[] {
  return Object.entries(now).flatMap(([name, value]) => {
    const [old, current] = [JSON.stringify(before[name]), JSON.stringify(value)];
    return free.has(name) || old === current ? [] : [`${name} was ${old} and is ${current}`];
  });
}

/** Equal for settings that compute the same. */
export const settingsIdentity = (settings: object): string =>
  JSON.stringify(Object.entries(settings).filter(([name]) => !free.has(name)));
