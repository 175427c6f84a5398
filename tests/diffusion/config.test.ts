import { describe, expect, test } from 'vitest';
import {
  boolean,
  either,
  ignored,
  integer,
  integerOrNull,
  integers,
  number,
  oneOf,
  readConfig,
  text,
} from '../../diffusion/config.ts';

const fields = {
  in_channels: integer(3),
  heads: either(integer(8), integers([8])),
  groups: integerOrNull(null),
  norm_eps: number(1e-5),
  act_fn: text('silu'),
  add_attention: boolean(true),
  class_embed_type: oneOf(null),
  downsample_padding: oneOf(1, 0),
  sample_size: ignored,
} as const;

const read = (json: unknown) => readConfig('Model', json, fields);

const messageOf = (json: unknown): string => {
  try {
    read(json);
    return 'nothing was thrown';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('a configuration', () => {
  test('has defaults for what it does not say, and may have notes', () => {
    expect(read({ _class_name: 'Model', _anything: [1], heads: [4, 8], sample_size: 'whatever' })).toEqual({
      in_channels: 3,
      heads: [4, 8],
      groups: null,
      norm_eps: 1e-5,
      act_fn: 'silu',
      add_attention: true,
      class_embed_type: null,
      downsample_padding: 1,
      sample_size: undefined,
    });
  });

  test('is refused for all that is wrong with it at once', () => {
    const json = {
      _class_name: 'Other',
      in_chanels: 4,
      norm_eps: null,
      heads: 'many',
      class_embed_type: 'timestep',
      downsample_padding: 2,
      wings: [1],
    };
    expect(messageOf(json)).toBe(`Model: this configuration cannot be used:
  _class_name: is "Other", not "Model"
  in_chanels: is not known here (its value is 4); did you mean "in_channels"?
  wings: is not known here (its value is [1])
  heads: must be a whole number, or a list of whole numbers, got "many"
  norm_eps: must be a number, got null
  class_embed_type: only null is supported, got "timestep"
  downsample_padding: must be one of 1, 0, got 2`);
  });

  test('that says what a misspelt field would say is told of other fields only', () => {
    expect(messageOf({ in_channels: 3, in_channel: 4 })).toMatch(/in_channel: is not known here \(its value is 4\)$/);
  });

  test.each([[null], [[]], ['text'], [3]])('is a JSON object, not %j', (json) => {
    expect(messageOf(json)).toBe(`Model: a configuration is a JSON object, got ${JSON.stringify(json)}`);
  });

  test.each(['constructor', 'valueOf', 'toString'])('with a field named %s is refused as any other', (name) => {
    expect(messageOf(JSON.parse(`{"${name}": 1}`))).toContain(`${name}: is not known here`);
  });

  test('with a long value is refused in a short message', () => {
    const message = messageOf({ in_channels: 'x'.repeat(1e6) });
    expect(message).toContain('in_channels: must be a whole number, got "xxx');
    expect(message.length).toBeLessThan(300);
  });
});
