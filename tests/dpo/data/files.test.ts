import { execFileSync } from 'node:child_process';
import { openCaptioned, openPairs, readImage } from 'diffusion-dpo/dpo/node';
import { describe, expect, test } from 'vitest';
import { readRows } from '../../../dpo/train/run/rowLog.node.ts';
import { plain, temporaryFolder, writeFiles } from './samples.ts';

const folder = await temporaryFolder();
const lines = (...objects: readonly unknown[]): string =>
  objects.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n');

describe('JSONL', () => {
  const images = { 'p/1.png': plain(1), 'p/2.png': plain(2), 'p/3.png': plain(3) };

  test('paths count from the file, other names and empty lines are ignored', async () => {
    const text = lines({ caption: 'first', winner: 'p/1.png', loser: 'p/2.png', seen: 3 }, '', '  \r', {
      caption: 'secönd',
      winner: 'p/3.png',
      loser: 'p/1.png',
    });
    await writeFiles(folder, { ...images, 'pairs.jsonl': `${text}\r\n` });
    await using source = await openPairs(`${folder}/pairs.jsonl`);
    expect(source).toMatchObject({ count: 2, ties: 0, groups: [{ start: 0, end: 2 }] });
    const place = `${folder}/pairs.jsonl, line 4`;
    expect(await source.read(1)).toEqual({ caption: 'secönd', winner: plain(3), loser: plain(1), place });
  });

  test('a bad line is told with its number and does not cost the others', async () => {
    const good = { caption: 'good', winner: 'p/1.png', loser: 'p/2.png' };
    await writeFiles(folder, {
      ...images,
      'p/broken.png': new Uint8Array(20),
      'bad.jsonl': lines(
        good,
        '{"caption": "a", "winner": }',
        '[1, 2]',
        { caption: 'no loser', winner: 'p/1.png' },
        { ...good, caption: 5 },
        { ...good, winner: 'p/nowhere.png' },
        { ...good, loser: 'p/broken.png' },
        '{"caption": "a", "caption": "b", "winner": "p/1.png", "loser": "p/1.png"}',
        good,
      ),
    });
    await using source = await openPairs(`${folder}/bad.jsonl`);
    expect(source.count).toBe(9);
    expect((await source.read(0)).caption).toBe('good');
    expect((await source.read(8)).place).toContain('line 9');
    for (const [index, message] of [
      [1, 'bad.jsonl, line 2 is not valid JSON'],
      [2, 'bad.jsonl, line 3 must hold an object'],
      [3, 'bad.jsonl, line 4: loser must be text; the names there are: caption, winner'],
      [4, 'bad.jsonl, line 5: caption must be text'],
      [5, /bad\.jsonl, line 6: .*nowhere\.png: there is no such file/],
      [6, /bad\.jsonl, line 7: .*broken\.png: this is no JPEG, PNG or WebP/],
      [7, 'line 8 holds the name "caption" twice'],
    ] as const)
      await expect(source.read(index)).rejects.toThrow(message);
    await expect(source.read(9)).rejects.toThrow('0 to 8');
  });

  test('several files, and files of several kinds, are one data set', async () => {
    const line = (caption: string, winner: string) => lines({ caption, winner: `p/${winner}.png`, loser: 'p/2.png' });
    await writeFiles(folder, {
      ...images,
      'one.jsonl': line('first', '1'),
      'two.jsonl': `${line('second', '1')}\n${line('third', '3')}`,
      'both/w/fourth.png': plain(4),
      'both/l/fourth.png': plain(5),
    });
    const source = await openPairs(['one.jsonl', 'two.jsonl', 'both'].map((name) => `${folder}/${name}`));
    const groups = [
      { start: 0, end: 1 },
      { start: 1, end: 3 },
      { start: 3, end: 4 },
    ];
    expect(source).toMatchObject({ count: 4, ties: 0, unlabelled: 0, groups });
    const rows = await Promise.all([0, 1, 2, 3].map((i) => source.read(i)));
    expect(rows.map(({ caption }) => caption)).toEqual(['first', 'second', 'third', 'fourth']);
    expect(rows[2]?.winner).toEqual(plain(3));
    await expect(source.read(4)).rejects.toThrow('0 to 3');
    await source[Symbol.asyncDispose]();
    await expect(openPairs([`${folder}/one.jsonl`, `${folder}/nowhere`])).rejects.toThrow('nowhere');
    await expect(openPairs([])).rejects.toThrow('there is no path of data to open');
  });

  test('empty and missing files are refused', async () => {
    await writeFiles(folder, { 'empty.jsonl': '\n\n' });
    await expect(openPairs(`${folder}/empty.jsonl`)).rejects.toThrow('empty.jsonl: there are no lines');
    await expect(openPairs(`${folder}/none.jsonl`)).rejects.toThrow('there is no such file');
  });

  test('holds captioned images too', async () => {
    await writeFiles(folder, {
      ...images,
      'captioned.jsonl': lines({ caption: 'a', image: 'p/2.png' }, { caption: 'b' }),
    });
    await using source = await openCaptioned(`${folder}/captioned.jsonl`);
    expect(source.count).toBe(2);
    expect(await source.read(0)).toMatchObject({ caption: 'a', image: plain(2) });
    await expect(source.read(1)).rejects.toThrow('captioned.jsonl, line 2: image must be text');
  });
});

describe('folders w and l', () => {
  const pairs = { 'w/red_apple.png': plain(1), 'l/red_apple.png': plain(2), 'w/b.png': plain(3), 'l/b.png': plain(4) };
  const make = (name: string, files: Parameters<typeof writeFiles>[1]) => writeFiles(`${folder}/${name}`, files);

  test('pair images of one name; captions are the names', async () => {
    await using source = await openPairs(await make('plain', { ...pairs, 'w/notes.txt': 'no image' }));
    expect(source).toMatchObject({ count: 2, ties: 0, groups: [{ start: 0, end: 2 }] });
    expect(await source.read(0)).toMatchObject({ caption: 'b', winner: plain(3), loser: plain(4) });
    expect(await source.read(1)).toMatchObject({
      caption: 'red apple',
      place: expect.stringContaining('red_apple.png'),
    });
  });

  test.each([
    ['captions.txt', 'red_apple\tAn apple\r\nb.png\tA bee\n'],
    ['captions.jsonl', lines({ name: 'red_apple.png', caption: 'An apple' }, { name: 'b', caption: 'A bee' })],
  ])('captions come from %s', async (file, text) => {
    await using source = await openPairs(await make(`with-${file}`, { ...pairs, [file]: text }));
    expect([(await source.read(0)).caption, (await source.read(1)).caption]).toEqual(['A bee', 'An apple']);
  });

  test.each([
    [
      'unmatched names',
      { ...pairs, 'w/x.png': plain(1), 'l/y.png': plain(1), 'l/z.png': plain(1) },
      'only in w: x; only in l: y, z',
    ],
    [
      'many unmatched names',
      { ...pairs, ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((i) => [`w/n${i}.png`, plain(1)])) },
      'n5 and 2 more',
    ],
    ['a folder w alone', { 'w/a.png': plain(1) }, 'l: there is no such file or folder'],
    ['a folder l without images', { 'w/a.png': plain(1), 'l/a.txt': '' }, 'l: there are no images'],
    ['two images of one name', { ...pairs, 'w/b.jpg': plain(1) }, 'b.jpg and b.png have one name'],
    ['images without a caption', { ...pairs, 'captions.txt': 'b\tA bee' }, 'without a caption: red_apple'],
    ['a line without a tab', { ...pairs, 'captions.txt': 'b\tA bee\nred_apple' }, 'captions.txt, line 2'],
    [
      'a bad line of JSON',
      { ...pairs, 'captions.jsonl': '{"name": "b"}' },
      'captions.jsonl, line 1: caption must be text',
    ],
    ['two files of captions', { ...pairs, 'captions.txt': 'b\tA bee', 'captions.jsonl': '{}' }, 'which is meant?'],
  ])('%s are refused', async (name, files, message) => {
    await expect(openPairs(await make(`bad ${name}`, files))).rejects.toThrow(message);
  });

  test('a broken image is told when it is read', async () => {
    await using source = await openPairs(await make('broken', { ...pairs, 'l/b.png': new Uint8Array(9) }));
    await expect(source.read(0)).rejects.toThrow(/l.b\.png: this is no JPEG/);
    expect((await source.read(1)).caption).toBe('red apple');
    await expect(source.read(2)).rejects.toThrow('0 to 1');
  });
});

test.runIf(process.platform !== 'win32')('a pipe or a device is refused at once as any input', async () => {
  const pipe = (name: string) => {
    execFileSync('mkfifo', [`${folder}/${name}`]);
    return `${folder}/${name}`;
  };
  for (const open of [
    () => openPairs(pipe('pipe.jsonl')),
    () => openPairs(pipe('pipe.parquet')),
    () => openCaptioned(pipe('captions-pipe.jsonl')),
    () => openCaptioned(pipe('captions-pipe.parquet')),
    () => readImage(pipe('pipe.png')),
    () => readImage('/dev/zero'),
    () => readRows(pipe('metrics.jsonl')),
  ])
    await expect(open(), String(open)).rejects.toThrow('it is a device, a pipe or a socket, not a file');
});
