/** Text that is already HTML and is not escaped. */
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

/** A template tag for HTML, which escapes all inserted values but `Markup`: html`<p>${caption}</p>`. */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Markup =>
  new Markup(strings.map((string, i) => string + textOf(parts[i])).join(''));

/** JSON for a script element, without `<`, so that it cannot end the element. */
export const jsonMarkup = (data: unknown): Markup => new Markup(JSON.stringify(data).replaceAll('<', '\\u003c'));
