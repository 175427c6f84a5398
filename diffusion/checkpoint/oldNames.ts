/** What a parameter is called today that older files have under another name; `undefined` for a name that has not changed. */
export type OldNames = (name: string) => string | undefined;

const projections: ReadonlyMap<string, string> = new Map([
  ['query', 'to_q'],
  ['key', 'to_k'],
  ['value', 'to_v'],
  ['proj_attn', 'to_out.0'],
]);

/**
 * The names that the projections of spatial self-attention had in diffusers before 0.17 (AttentionBlock), in UNets and VAEs:
 * `query`, `key`, `value` and `proj_attn`.
 */
export const oldAttentionNames: OldNames = (name) => {
  const [, path, projection = '', part] = /^(.+)\.(query|key|value|proj_attn)\.(weight|bias)$/.exec(name) ?? [];
  return path === undefined ? undefined : `${path}.${projections.get(projection)}.${part}`;
};
