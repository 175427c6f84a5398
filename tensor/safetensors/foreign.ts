import { FormatError } from '../errors.ts';

/** The bytes examined: a Git LFS pointer and the start of a page are shorter. */
const startBytes = 1024;

/** The first line of a Git LFS pointer, of the specification and of its pre-release. */
const lfsPointer = /^version https:\/\/(?:git-lfs|hawser)\.github\.com\/spec\/v\d/;
const htmlPage = /^<(?:!doctype\s+html|(?:html|head|body|title|meta|script)[\s>])/i;

/**
 * Describes a substitute for a file that a failed download left: a Git LFS pointer, an HTML page or an XML document.
 * `undefined` if the first bytes show none.
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
 * Refuses a substitute for a file that a failed download left: a Git LFS pointer, an HTML page or an XML document. `start`
 * holds the first bytes of the file, 1024 or all of them; `what` names the file in the message.
 * @throws FormatError that says what the file is and what to do
 */
export function refuseSubstitute(start: Uint8Array, what: string): void {
  const substitute = substituteIn(start);
  if (substitute !== undefined) throw new FormatError(`${what}: this is ${substitute}`);
}

/** PyTorch's files are pickles: bare ones in the versions before 1.6, inside a ZIP archive since. */
const isPickle = ([mark, version = 0]: Uint8Array): boolean => mark === 0x80 && version >= 2 && version <= 5;
const zipArchive = 'PK\x03\x04';
const pickleAdvice =
  'a pickle of PyTorch (.ckpt, .pt, .bin), which can hold programs and is never read; take the .safetensors file of the same model, or ' +
  'make one in Python, where you trust it: weights = torch.load(FILE, weights_only=True), then ' +
  'safetensors.torch.save_file(weights.get("state_dict", weights), "model.safetensors")';

/** Describes what else people take for a safetensors file: a pickle, an archive, GGUF; by its first bytes. `undefined` if it is none. */
export function otherWeightsIn(bytes: Uint8Array): string | undefined {
  const start = new TextDecoder('latin1').decode(bytes.subarray(0, startBytes));
  if (isPickle(bytes) || (start.startsWith(zipArchive) && /\.pkl/.test(start))) return pickleAdvice;
  if (start.startsWith(zipArchive)) return 'a ZIP archive, not the file; unpack it first';
  if (start.startsWith('GGUF'))
    return 'a GGUF file, whose quantised weights are not read; take the .safetensors file of the same model';
  return undefined;
}
