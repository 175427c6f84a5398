import { execFileSync } from 'node:child_process';
import { readdir, symlink, writeFile } from 'node:fs/promises';
import { encodePng } from 'diffusion-dpo/dpo';
import { openCaptioned, openPairs, writePickAPic } from 'diffusion-dpo/dpo/node';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, test } from 'vitest';
import { readImage } from '../../../dpo/data/decodeImage.node.ts';
import { readRows } from '../../../dpo/train/run/rowLog.node.ts';
import { numbered, plain, temporaryFolder, writeFiles } from './samples.ts';

const folder = await temporaryFolder();
const make = (name: string, files: Parameters<typeof writeFiles>[1]) => writeFiles(`${folder}/${name}`, files);
const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const utf16 = (text: string): Uint8Array => Buffer.from(`\ufeff${text}`, 'utf16le');
const images = { '1.png': plain(1), '2.png': plain(2) };
const line = (caption: string): string => `${JSON.stringify({ caption, winner: '1.png', loser: '2.png' })}\n`;
const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 77\n';
const page = '<!DOCTYPE html><html>';

describe('texts are UTF-8', () => {
  test('in JSONL, where a line that is not does not cost the others', async () => {
    const text = Buffer.concat([latin1(line('café au lait')), Buffer.from(line('thé'))]);
    await make('lines', { ...images, 'pairs.jsonl': text, 'wide.jsonl': utf16(line('thé')) });
    await using source = await openPairs(`${folder}/lines/pairs.jsonl`);
    await expect(source.read(0)).rejects.toThrow(
      'pairs.jsonl, line 1 is not valid UTF-8: byte 15 is 0xe9, which looks like Latin-1; save it as UTF-8',
    );
    expect((await source.read(1)).caption).toBe('thé');
    await expect(openPairs(`${folder}/lines/wide.jsonl`)).rejects.toThrow('wide.jsonl is not UTF-8 but UTF-16');
  });

  test('in JSONL with byte order marks, which files have that were joined', async () => {
    const mark = '\ufeff';
    await make('marked', {
      ...images,
      'pairs.jsonl': `${mark}${line('a').replace('\n', '\r\n')}${mark}${line('b')}`,
    });
    await using source = await openPairs(`${folder}/marked/pairs.jsonl`);
    expect((await source.read(0)).caption).toBe('a');
    expect((await source.read(1)).caption).toBe('b');
    await make('marked', { 'empty first.jsonl': `${mark}\n${line('a')}` });
    await using other = await openPairs(`${folder}/marked/empty first.jsonl`);
    expect(other.count).toBe(1);
  });

  test.each([
    [
      'in Latin-1',
      latin1('a\tthe first\nb\tcafé\n'),
      'captions.txt is not valid UTF-8: line 2, byte 17 is 0xe9, which looks like Latin-1',
    ],
    ['in UTF-16', utf16('a\tx\n'), 'captions.txt is not UTF-8 but UTF-16'],
    ['with lines that end with CR', 'a\tx\rb\ty\r', 'captions.txt, line 1: holds a carriage return (CR)'],
    ['that is a page', page, 'captions.txt: this is an HTML page'],
  ])('in captions.txt: one %s is refused', async (name, text, message) => {
    const files = { 'w/a.png': plain(1), 'l/a.png': plain(2), 'captions.txt': text };
    await expect(openPairs(await make(`captions ${name}`, files))).rejects.toThrow(message);
  });

  test('in captions.txt with a byte order mark and CRLF', async () => {
    const files = { 'w/a.png': plain(1), 'l/a.png': plain(2), 'captions.txt': '\ufeffa\tsoupe à l’oignon\r\n' };
    await using source = await openPairs(await make('captions marked', files));
    expect((await source.read(0)).caption).toBe('soupe à l’oignon');
  });

  test('in columns of Parquet files, also in those that are said to be text', async () => {
    for (const type of ['STRING', 'BYTE_ARRAY'] as const) {
      const path = `${folder}/${type}.parquet`;
      const captions = ['one', 'caf\u00e9!'].map((text) => (type === 'STRING' ? text : new TextEncoder().encode(text)));
      const data = [0, 1].map((i) => encodePng(plain(i)));
      const columnData = [
        { name: 'caption', data: captions, type },
        { name: 'image', data, type: 'BYTE_ARRAY' as const },
      ];
      const bytes = Buffer.from(parquetWriteBuffer({ columnData, codec: 'UNCOMPRESSED', statistics: false }));
      // é becomes two letters of Latin-1: the lengths in the file stay right.
      const at = bytes.indexOf('\u00e9');
      bytes.set([0xe9, 0xe8], at);
      await writeFile(path, bytes);
      await using source = await openCaptioned(path);
      expect((await source.read(0)).caption).toBe('one');
      await expect(source.read(1)).rejects.toThrow(
        `${type}.parquet, row 1: caption is not valid UTF-8: byte 3 is 0xe9`,
      );
    }
  });

  test('in the log of a run, of which a last line that was cut within a character is left out', async () => {
    await make('log', {
      'rows.jsonl': Buffer.concat([Buffer.from('{"a":"ü"}\n'), Buffer.from('{"a":"ü').subarray(0, 7)]),
    });
    expect(await readRows(`${folder}/log/rows.jsonl`)).toEqual([{ a: 'ü' }]);
    await make('log', { 'bad.jsonl': latin1('{"a":"ü"}\n') });
    await expect(readRows(`${folder}/log/bad.jsonl`)).rejects.toThrow('bad.jsonl is not valid UTF-8: line 1, byte 6');
  });
});

test('pointers of Git LFS and pages are named in place of every kind of file', async () => {
  await make('substitutes', {
    ...images,
    'p.jsonl': pointer,
    'h.jsonl': page,
    'p.parquet': pointer,
    'h.parquet': page,
    'p.png': pointer,
    'h.jpg': `\n${page}`,
  });
  const place = (name: string) => `${folder}/substitutes/${name}`;
  for (const name of ['p.jsonl', 'p.parquet'])
    for (const open of [openPairs, openCaptioned])
      await expect(open(place(name)), name).rejects.toThrow(
        `${name}: this is a Git LFS pointer, which stands for the file of 77 bytes`,
      );
  for (const name of ['h.jsonl', 'h.parquet'])
    await expect(openPairs(place(name)), name).rejects.toThrow(`${name}: this is an HTML page`);
  await expect(readImage(place('p.png'))).rejects.toThrow(/p\.png: this is no JPEG.*this is a Git LFS pointer/);
  await expect(readImage(place('h.jpg'))).rejects.toThrow(/h\.jpg: this is no JPEG.*this is an HTML page/);
});

describe('names that differ only in Unicode normalisation', () => {
  const [nfc, nfd] = ['M\u00e4dchen', 'Ma\u0308dchen'];

  test('are one name in folders w and l, and in captions', async () => {
    for (const file of ['captions.txt', 'captions.jsonl'])
      for (const name of [nfc, nfd]) {
        const text = file.endsWith('txt')
          ? `${name}\tein Kind\n`
          : JSON.stringify({ name: `${name}.png`, caption: 'ein Kind' });
        const path = `names ${file} ${name === nfc}`;
        await make(path, { [`w/${nfc}.png`]: plain(1), [`l/${nfd}.png`]: plain(2), [file]: text });
        await using source = await openPairs(`${folder}/${path}`);
        expect(await source.read(0)).toMatchObject({ caption: 'ein Kind', winner: plain(1), loser: plain(2) });
      }
  });

  test('are found as paths of images, folders on the way included', async () => {
    const text = JSON.stringify({ caption: 'a', image: `${nfc}/${nfc}.png` });
    await make('paths', { 'data.jsonl': text, [`${nfd}/${nfd}.png`]: plain(7) });
    await using source = await openCaptioned(`${folder}/paths/data.jsonl`);
    expect((await source.read(0)).image).toEqual(plain(7));
  });

  test('are refused where it is not clear which is meant, and told of where a folder is not found', async () => {
    await make('unclear', { [`w/${nfc}.png`]: plain(1), [`w/${nfd}.png`]: plain(2), 'l/a.png': plain(1) });
    if ((await readdir(`${folder}/unclear/w`)).length === 2) {
      await expect(openPairs(`${folder}/unclear`)).rejects.toThrow('have one name; which is meant?');
      await make('several', { '\u1e69.png': plain(1), '\u1e63\u0307.png': plain(2) });
      await expect(readImage(`${folder}/several/s\u0323\u0307.png`)).rejects.toThrow('2 names in');
    }
    await make(nfd, images);
    const wrong = await openPairs(`${folder}/${nfc}`).catch((error: Error) => error.message);
    // Some systems find a name in either form.
    if (typeof wrong === 'string' && /no such file/.test(wrong))
      expect(wrong).toContain('only in Unicode normalisation');
  });
});

test('devices, pipes and folders are no files', { timeout: 5_000 }, async () => {
  await make('special', { 'd.jsonl/x': '' });
  await expect(readImage(`${folder}/special`)).rejects.toThrow('it is a folder, not a file');
  if (process.platform === 'win32') return;
  execFileSync('mkfifo', [`${folder}/special/pairs.jsonl`, `${folder}/special/x.png`, `${folder}/special/x.parquet`]);
  await symlink('/dev/zero', `${folder}/special/zero.png`);
  for (const name of ['zero.png', 'x.png'])
    await expect(readImage(`${folder}/special/${name}`)).rejects.toThrow('a device, a pipe or a socket, not a file');
  for (const name of ['pairs.jsonl', 'x.parquet'])
    await expect(openPairs(`${folder}/special/${name}`)).rejects.toThrow('a device, a pipe or a socket, not a file');
});

test('models of Pick-a-Pic are texts too', async () => {
  const path = `${folder}/models.parquet`;
  await writePickAPic([{ ...numbered(1), models: { winner: 'gut', loser: 'böse' } }], path);
  await using source = await openPairs(path);
  expect((await source.read(0)).models).toEqual({ winner: 'gut', loser: 'böse' });
});
