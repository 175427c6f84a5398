import {
  mkdir,
  mkdtemp,
  open as openFile,
  readdir,
  readFile,
  readlink,
  rm,
  type stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FormatError, TensorError } from '../../tensor/errors.ts';
import { dispose, read } from '../../tensor/evaluate.ts';
import {
  fromFile,
  openSafetensorsFile,
  openSafetensorsIndex,
  openSafetensorsPath,
  saveSafetensors,
} from '../../tensor/safetensors/index.node.ts';
import { toSafetensorsBytes } from '../../tensor/safetensors/index.ts';
import { f32, make } from './safetensorsFixtures.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safetensors-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});
const at = (name: string) => join(folder, name);

/** The prototype of open files, whose methods the tests make fail. */
async function fileMethods(): Promise<{ writeFile: () => Promise<void>; sync: () => Promise<void> }> {
  const handle = await openFile(folder, 'r');
  await handle.close();
  return Object.getPrototypeOf(handle);
}

const systemError = (code: string) => Object.assign(new Error(`${code}: as the system says it`), { code });

describe('a file', () => {
  test('is written, opened, read in parts and closed', async () => {
    const path = at('model.safetensors');
    const tensors = { a: f32(1, 2), b: f32(3) };
    await saveSafetensors(path, tensors, { metadata: { step: '7' } });
    expect(new Uint8Array(await readFile(path))).toEqual(
      await toSafetensorsBytes(tensors, { metadata: { step: '7' } }),
    );
    expect(await readdir(folder)).toEqual(['model.safetensors']);

    const file = await openSafetensorsFile(path);
    expect([file.name, file.names, file.metadata]).toEqual([path, ['a', 'b'], new Map([['step', '7']])]);
    const b = await file.read('b');
    await file.close();
    expect(await read(b)).toEqual(Float32Array.of(3));
    await expect(file.read('a')).rejects.toThrow(new TensorError(`cannot read ${path}: it has been closed`));
  });

  test('is closed at the end of the scope of an `await using`', async () => {
    await saveSafetensors(at('x'), { a: f32(1) });
    let escaped: Awaited<ReturnType<typeof openSafetensorsFile>>;
    {
      await using file = await openSafetensorsFile(at('x'));
      escaped = file;
      expect(await read(await file.read('a'))).toEqual(Float32Array.of(1));
    }
    await expect(escaped.read('a')).rejects.toThrow('it has been closed');
  });

  test('that is cut short after it was opened is reported', async () => {
    const path = at('model.safetensors');
    await saveSafetensors(path, { a: f32(1), b: f32(2, 3) });
    await using file = await openSafetensorsFile(path);
    const { offset } = await file.entry('b');
    await truncate(path, offset + 3);
    await expect(file.read('b')).rejects.toThrow(
      new FormatError(
        `${path}: tensor "b" takes 8 bytes from offset ${offset}, but only 3 could be read; ` +
          'was the file cut short after it was opened?',
      ),
    );
    expect(await read(await file.read('a'))).toEqual(Float32Array.of(1));
  });

  test('that does not exist, or is no file, is reported', async () => {
    await expect(openSafetensorsFile(at('no'))).rejects.toThrow(
      `cannot open ${at('no')}: there is no such file or folder`,
    );
    await expect(fromFile(folder)).rejects.toThrow(`cannot open ${folder}: it is a folder, not a file`);
    await writeFile(at('text'), 'this is no safetensors file');
    await expect(openSafetensorsFile(at('text'))).rejects.toThrow(
      /text: the header is said to take \d+ bytes, more than/,
    );
  });
});

describe('a write that fails leaves the old file, and nothing else:', () => {
  const path = () => at('model.safetensors');
  let old: Uint8Array;
  beforeEach(async () => {
    await saveSafetensors(path(), { old: f32(1, 2, 3) });
    old = new Uint8Array(await readFile(path()));
  });
  afterEach(async () => {
    expect(await readdir(folder)).toEqual(['model.safetensors']);
    expect(new Uint8Array(await readFile(path()))).toEqual(old);
  });

  test('a disposed tensor', async () => {
    const gone = f32(2);
    dispose(gone);
    await expect(saveSafetensors(path(), { a: f32(1), gone })).rejects.toThrow('tensor "gone"');
  });

  test('a tensor that is disposed of while others are written', async () => {
    const gone = f32(2);
    const methods = await fileMethods();
    const write = methods.writeFile;
    vi.spyOn(methods, 'writeFile').mockImplementation(function (this: unknown, ...data) {
      dispose(gone);
      return Reflect.apply(write, this, data);
    });
    await expect(saveSafetensors(path(), { a: f32(1), gone })).rejects.toThrow('can no longer be used');
  });

  test('a full disk', async () => {
    const full = systemError('ENOSPC');
    const methods = await fileMethods();
    vi.spyOn(methods, 'writeFile').mockRejectedValue(full);
    const error: unknown = await saveSafetensors(path(), { a: f32(1) }).catch((error) => error);
    expect(error).toEqual(new TensorError(`cannot write ${path()}: the disk is full`));
    expect((error as Error).cause).toBe(full);
  });

  test('a disk that fails to flush', async () => {
    vi.spyOn(await fileMethods(), 'sync').mockRejectedValue(systemError('EIO'));
    await expect(saveSafetensors(path(), { a: f32(1) })).rejects.toThrow(
      `cannot write ${path()}: EIO: as the system says it`,
    );
  });
});

describe('a write through a symbolic link', () => {
  const values = async (path: string) => {
    await using file = await openSafetensorsFile(path);
    return Array.from(await read(await file.read('a')));
  };

  test('replaces the file that it leads to, and keeps the link', async () => {
    await mkdir(at('store'));
    await saveSafetensors(at('store/blob'), { a: f32(1) });
    await symlink('store/blob', at('link'));
    await saveSafetensors(at('link'), { a: f32(2) });
    expect(await readlink(at('link'))).toBe('store/blob');
    expect([await values(at('store/blob')), await values(at('link'))]).toEqual([[2], [2]]);
    expect([(await readdir(folder)).sort(), await readdir(at('store'))]).toEqual([['link', 'store'], ['blob']]);
  });

  test('makes the file that it leads to if there is none', async () => {
    await mkdir(at('store'));
    await symlink('store', at('models'));
    await symlink('../link', at('store/blob'));
    await symlink('store/new', at('link'));
    await saveSafetensors(at('models/blob'), { a: f32(3) });
    expect(await values(at('store/new'))).toEqual([3]);
    expect((await readdir(folder)).sort()).toEqual(['link', 'models', 'store']);
  });

  test('that leads in a circle is refused', async () => {
    await symlink('b', at('a'));
    await symlink('a', at('b'));
    await expect(saveSafetensors(at('a'), { a: f32(1) })).rejects.toThrow(
      `cannot write ${at('a')}: its symbolic links lead in a circle`,
    );
  });
});

test.skipIf(process.platform === 'win32')('a write is kept by the folder, too, before it is done', async () => {
  const methods = await fileMethods();
  const sync = methods.sync;
  const synced: string[] = [];
  vi.spyOn(methods, 'sync').mockImplementation(async function (this: unknown) {
    const kind = (await (this as { stat: () => ReturnType<typeof stat> }).stat()).isDirectory() ? 'folder' : 'file';
    synced.push(
      `${kind} with ${(await readdir(folder)).some((name) => name === 'x') ? 'the new name' : 'no new name'}`,
    );
    return Reflect.apply(sync, this, []);
  });
  await saveSafetensors(at('x'), { a: f32(1) });
  expect(synced).toEqual(['file with no new name', 'folder with the new name']);
});

test('a tensor larger than the pieces it is read in comes back whole', async () => {
  const count = 3 * 2 ** 20 + 5;
  const values = Float32Array.from({ length: count }, (_, i) => i);
  await saveSafetensors(at('x'), { large: make('f32', values) });
  await using file = await openSafetensorsFile(at('x'));
  const largest: number[] = [];
  const methods = (await fileMethods()) as unknown as { read: (bytes: Uint8Array) => unknown };
  const readBytes = methods.read;
  vi.spyOn(methods, 'read').mockImplementation(function (this: unknown, ...args) {
    largest.push(args[0].length);
    return Reflect.apply(readBytes, this, args);
  });
  const found = (await read(await file.read('large'))) as Float32Array;
  expect(found.length).toBe(count);
  expect(found.findIndex((value, i) => value !== i)).toBe(-1);
  expect(Math.max(...largest)).toBe(2 ** 23);
});

test('a folder that cannot be written to is reported', async () => {
  await expect(saveSafetensors(at('no/model.safetensors'), {})).rejects.toThrow(
    `cannot write ${at('no/model.safetensors')}: there is no such file or folder`,
  );
  await writeFile(at('file'), '');
  await expect(saveSafetensors(at('file/model.safetensors'), {})).rejects.toThrow('a part of the path is not a folder');
  await mkdir(at('taken'));
  await expect(saveSafetensors(at('taken'), {})).rejects.toThrow(`cannot write ${at('taken')}: it is a folder`);
  expect((await readdir(folder)).sort()).toEqual(['file', 'taken']);
});

describe('a sharded set', () => {
  const indexPath = () => at('model.safetensors.index.json');
  const first = 'model-00001-of-00002.safetensors';
  const second = 'model-00002-of-00002.safetensors';
  const writeIndex = (index: unknown) =>
    writeFile(indexPath(), typeof index === 'string' ? index : JSON.stringify(index));
  const weightMap = { a: first, b: second, c: first };

  beforeEach(async () => {
    await saveSafetensors(at(first), { a: f32(1), c: f32(3, 4) });
    await saveSafetensors(at(second), { b: f32(2) });
    await writeIndex({ metadata: { total_size: 16 }, weight_map: weightMap });
  });

  test('is read like one file', async () => {
    await using set = await openSafetensorsIndex(indexPath());
    expect(set.name).toBe(indexPath());
    expect(set.names).toEqual(['a', 'b', 'c']);
    expect(set.metadata).toEqual(new Map([['total_size', 16]]));
    expect((await set.entry('c')).shape).toEqual([2]);
    const tensors = await set.readAll();
    expect(await Promise.all([...tensors.values()].map(read))).toEqual([
      Float32Array.of(1),
      Float32Array.of(2),
      Float32Array.of(3, 4),
    ]);
    await expect(set.read('d')).rejects.toThrow(`${indexPath()}: tensor "d" is not there, among 3 tensors`);
  });

  test('is recognised by its name', async () => {
    await using set = await openSafetensorsPath(indexPath());
    await using file = await openSafetensorsPath(at(first));
    expect([set.names, file.names]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'c'],
    ]);
  });

  test('is refused if the index gives another size', async () => {
    await writeIndex({ metadata: { total_size: 12 }, weight_map: weightMap });
    await using set = await openSafetensorsIndex(indexPath());
    expect(await read(await set.read('a'))).toEqual(Float32Array.of(1));
    await expect(set.read('b')).rejects.toThrow(
      new FormatError(
        `${indexPath()}: metadata says that total_size is 12, but the tensors of all shards take 16 bytes`,
      ),
    );
  });

  test('opens shards when they are needed', async () => {
    await writeFile(at(second), 'no safetensors file');
    await using set = await openSafetensorsIndex(indexPath());
    expect(await read(await set.read('a'))).toEqual(Float32Array.of(1));
    await expect(set.read('b')).rejects.toThrow(`${at(second)}: the header is said to take`);
  });

  test('cannot be read once it is closed', async () => {
    const set = await openSafetensorsIndex(indexPath());
    const a = await set.read('a');
    await set.close();
    await set.close();
    await expect(set.read('b')).rejects.toThrow(`cannot read ${indexPath()}: it has been closed`);
    await expect(set.read('a')).rejects.toThrow(`cannot read ${indexPath()}: it has been closed`);
    expect(await read(a)).toEqual(Float32Array.of(1));
  });

  const indexes: [what: string, index: unknown, message: string][] = [
    [
      'a missing shard',
      { weight_map: { ...weightMap, z: 'model-3.safetensors' } },
      'weight_map names the shard "model-3.safetensors", which is missing',
    ],
    ['text that is not JSON', '{"weight_map": {', 'the index is not valid JSON: '],
    ['a list', [], 'the index is not a JSON object'],
    ['no weight_map', { metadata: {} }, 'weight_map is nothing, not an object'],
    ['a weight_map that is a list', { weight_map: ['a'] }, 'weight_map is ["a"], not an object'],
    ['metadata that is a string', { metadata: 'x', weight_map: {} }, 'metadata is "x", not an object'],
    [
      'a size that is none',
      { metadata: { total_size: -1 }, weight_map: {} },
      'metadata says that total_size is -1, which is not a number of bytes',
    ],
    [
      'a name that occurs twice',
      `{"weight_map": {"a": "${first}", "a": "${second}"}}`,
      'the index holds the name "a" twice in one object',
    ],
    ...[
      '../model.safetensors',
      '..',
      '.',
      '',
      '/etc/passwd',
      'sub/model.safetensors',
      '..\\model.safetensors',
      'C:model.safetensors',
      'a\0.safetensors',
      3,
      null,
    ].map((shard): [string, unknown, string] => [
      `the shard ${JSON.stringify(shard)}`,
      { weight_map: { a: shard } },
      `weight_map places tensor "a" in ${JSON.stringify(shard)}, which is not a plain file name`,
    ]),
  ];
  test.each(indexes)('is refused for %s', async (_, index, message) => {
    await writeIndex(index);
    const error: unknown = await openSafetensorsIndex(indexPath()).catch((error) => error);
    expect(error).toBeInstanceOf(FormatError);
    expect((error as Error).message).toContain(`${indexPath()}: ${message}`);
  });

  test('is refused without its index', async () => {
    await expect(openSafetensorsIndex(at('no.index.json'))).rejects.toThrow(
      `cannot open ${at('no.index.json')}: there is no such file or folder`,
    );
  });

  const mismatches: [
    what: string,
    weightMap: Record<string, string>,
    ask: string,
    message: (folder: string) => string,
  ][] = [
    [
      'a tensor that its shard does not have',
      { a: first, b: second, c: first, d: first },
      'a',
      () => `${at(first)}: tensor "d" is not in this shard, where ${indexPath()} places it`,
    ],
    [
      'a tensor that the index does not list',
      { a: first, b: second },
      'a',
      () => `${at(first)}: tensor "c" is in this shard, but ${indexPath()} does not list it`,
    ],
    [
      'a tensor that the index places in another shard',
      { a: first, b: second, c: second },
      'a',
      () => `${at(first)}: tensor "c" is in this shard, but ${indexPath()} places it in "${second}"`,
    ],
  ];
  test.each(mismatches)('is refused for %s', async (_, weight_map, ask, message) => {
    await writeIndex({ weight_map });
    await using set = await openSafetensorsIndex(indexPath());
    await expect(set.read(ask)).rejects.toThrow(new FormatError(message(folder)));
  });
});
