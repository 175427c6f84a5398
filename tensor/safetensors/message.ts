/** The longest text in a message. Names and values come from files that may be hostile. */
const longest = 120;

const clip = (text: string): string => (text.length <= longest ? text : `${text.slice(0, longest)}…`);

/** A name for a message: as JSON, cut after 120 characters. */
export const quote = (text: string): string => JSON.stringify(clip(text));

/** A JSON value for a message, without objects and nested arrays. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return quote(value);
  if (typeof value !== 'object' || value === null) return String(value);
  if (!Array.isArray(value)) return 'an object';
  const shown = value.slice(0, 8).map((item: unknown) => (Array.isArray(item) ? '[…]' : show(item)));
  return `[${[...shown, ...(value.length > 8 ? ['…'] : [])].join(', ')}]`;
}
