/** Text that is markup already. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = Markup | string | number | undefined | readonly Part[];

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function textOf(part: Part): string {
  if (part === undefined) return '';
  if (part instanceof Markup) return part.text;
  if (typeof part === 'object') return part.map(textOf).join('');
  return String(part).replace(/[&<>"']/g, (sign) => entities[sign] as string);
}

/** Markup in which everything that is put in is text, unless it is markup itself: html`<p>${caption}</p>`. */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Markup =>
  new Markup(strings.map((string, i) => string + textOf(parts[i])).join(''));

/** Data for a script inside a page: no character of it can end the script. */
export const jsonMarkup = (data: unknown): Markup => new Markup(JSON.stringify(data).replaceAll('<', '\\u003c'));
