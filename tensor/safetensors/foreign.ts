import { FormatError } from '../errors.ts';

/** How much of a file is looked at: a pointer of Git LFS is shorter, and so is what begins a page. */
const startBytes = 1024;

/** The first line of a Git LFS pointer, in the specification's present form and in the one before its first release. */
const lfsPointer = /^version https:\/\/(?:git-lfs|hawser)\.github\.com\/spec\/v\d/;
const htmlPage = /^<(?:!doctype\s+html|(?:html|head|body|title|meta|script)[\s>])/i;

/**
 * What a download left in place of a file, in words, if the first bytes show it: a Git LFS pointer, an HTML page or an XML
 * document.
 */
export function substituteIn(bytes: Uint8Array): string | undefined {
  const start = new TextDecoder('latin1').decode(bytes.subarray(0, startBytes));
  if (lfsPointer.test(start)) {
    const [, size] = /^size (\d+)$/m.exec(start) ?? [];
    return (
      `a Git LFS pointer, which stands for the file${size === undefined ? '' : ` of ${size} bytes`}; ` +
      'run "git lfs pull" in the repository, or download the file itself'
    );
  }
  // A byte order mark reads as three characters of Latin-1.
  const text = start.replace(/^\u00ef\u00bb\u00bf/, '').trimStart();
  if (htmlPage.test(text))
    return 'an HTML page, not the file; the address that it was downloaded from is that of a page, or asked for a login';
  if (/^<\?xml\s/.test(text)) return 'an XML document, not the file; perhaps it says why a download failed';
  return undefined;
}

/**
 * Refuses what a download left in place of a file: a Git LFS pointer, an HTML page or an XML document. `start` is the
 * beginning of the file, of which 1024 bytes are looked at; `what` is what the message calls it.
 * @throws FormatError that says what the file is and what to do
 */
export function refuseSubstitute(start: Uint8Array, what: string): void {
  const substitute = substituteIn(start);
  if (substitute !== undefined) throw new FormatError(`${what}: this is ${substitute}`);
}
