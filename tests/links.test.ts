import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import GithubSlugger from 'github-slugger';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

const generated = ['node_modules', 'dist', 'coverage', 'out'];

/** All Markdown files of the repository. */
const pages = readdirSync(root, { withFileTypes: true })
  .filter(({ name }) => !name.startsWith('.') && !generated.includes(name))
  .flatMap((entry) =>
    entry.isDirectory()
      ? readdirSync(`${root}/${entry.name}`, { recursive: true, encoding: 'utf8' }).map(
          (name) => `${entry.name}/${name.replaceAll('\\', '/')}`,
        )
      : [entry.name],
  )
  .filter((file) => file.endsWith('.md'));

/** A page without its code, where brackets are no links and # begins no heading. */
const proseOf = (text: string): string => text.replaceAll('\r\n', '\n').replace(/^(```|~~~)[\s\S]*?^\1/gm, '');

/** The anchors of a page's headings, as GitHub forms them. */
function anchorsOf(text: string): ReadonlySet<string> {
  const slugger = new GithubSlugger();
  const headings = [...proseOf(text).matchAll(/^#{1,6} +(.+?) *#*$/gm)].map(([, heading = '']) => heading);
  return new Set(headings.map((heading) => slugger.slug(heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1'))));
}

/** Targets of a page's links and images, of `[text](target)`, `[name]: target` and `src="target"`, except those with a scheme. */
const targetsOf = (text: string): readonly string[] =>
  [
    ...proseOf(text)
      .replace(/`[^`\n]*`/g, '')
      .matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]: *(\S+)|\b(?:src|href)="([^"]+)"/gm),
  ]
    .map(([, inline, reference, html]) => inline ?? reference ?? html ?? '')
    .filter((target) => !/^[a-z][a-z+.-]*:/i.test(target));

/** The broken links of a page, each with the reason. */
function problemsOf(page: string, text: string): string[] {
  return targetsOf(text).flatMap((target) => {
    const [path = '', anchor] = target.split('#', 2);
    const file = path === '' ? page : posix.join(dirname(page), decodeURI(path));
    if (path !== '' && !existsSync(`${root}/${file}`)) return [`${page}: ${target} leads to no file`];
    if (anchor === undefined || !file.endsWith('.md')) return [];
    const anchors = anchorsOf(path === '' ? text : readFileSync(`${root}/${file}`, 'utf8'));
    return anchors.has(anchor) ? [] : [`${page}: ${target} leads to no heading`];
  });
}

describe('links of Markdown files', () => {
  test('are found in every folder', () => {
    expect(pages).toEqual(expect.arrayContaining(['README.md', 'docs/tensor.md', 'tensor/wasm/README.md']));
  });

  test.each(pages)('%s has none that is broken', (page) => {
    expect(problemsOf(page, readFileSync(`${root}/${page}`, 'utf8'))).toEqual([]);
  });
});

describe('the check of links', () => {
  test.each([
    ['a file', '[x](tensor.md)'],
    ['a folder above', '[x](../tensor)'],
    ['a heading of the page', '# Two words\n[x](#two-words)'],
    ['the second of two headings with one name', '# A\n## A\n[x](#a-1)'],
    ['a heading of another page', '[x](tensor.md#random-numbers-have-keys)'],
    ['a page of the web', '[x](https://example.org/a#b)'],
    ['code', '```\n[x](nowhere.md)\n```\n`[x](nowhere.md)`'],
  ])('allows %s', (_, text) => {
    expect(problemsOf('docs/page.md', text)).toEqual([]);
  });

  test.each([
    ['a file that is not there', '[x](nowhere.md)', 'no file'],
    ['an image that is not there', '![x](nowhere.png)', 'no file'],
    ['a reference', '[x]\n\n[x]: nowhere.md', 'no file'],
    ['an HTML image', '<img src="nowhere.png">', 'no file'],
    ['a heading that is not there', '# A\n[x](#b)', 'no heading'],
    ['a heading that another page lacks', '[x](tensor.md#nothing)', 'no heading'],
    ['a heading that is code', '```\n# A\n```\n[x](#a)', 'no heading'],
  ])('refuses %s', (_, text, reason) => {
    expect(problemsOf('docs/page.md', text)).toEqual([expect.stringContaining(reason)]);
  });
});
