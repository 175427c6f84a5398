/** Where words are written. */
export interface Row {
  add(word: number): void;
}

/** Whole numbers in a row, which tell what something is. */
export class Words implements Row {
  #words = new Int32Array(1 << 10);
  #end = 0;

  add(word: number): void {
    if (this.#end === this.#words.length) this.#words = enlarged(this.#words);
    this.#words[this.#end++] = word;
  }

  /** Whether two rows are the same. */
  equals(other: Words): boolean {
    if (this.#end !== other.#end) return false;
    for (let i = 0; i < this.#end; i++) if (this.#words[i] !== other.#words[i]) return false;
    return true;
  }
}

/** Adds several numbers, such that what follows cannot be taken for one of them. */
export function addAll(row: Row, words: readonly number[]): void {
  row.add(words.length);
  for (let i = 0; i < words.length; i++) row.add(words[i] as number);
}

/** Adds a number of any kind, bit for bit. */
export function addFloat(row: Row, value: number): void {
  float[0] = value;
  row.add(bits[0] as number);
  row.add(bits[1] as number);
}

/**
 * Rows of whole numbers, each different one once. A row is written word by word and then closed, which gives its number:
 * that of the equal row before it, or the next one. So long descriptions are compared by comparing their numbers.
 */
export class Rows {
  #words = new Int32Array(1 << 10);
  #end = 0;
  /** Where each row begins, the one that is being written being the last. */
  #starts = new Int32Array(1 << 8);
  #hashes = new Int32Array(1 << 8);
  #count = 0;
  #hash = 0;
  /** A hash table with open addressing: numbers of rows, from 1; at most half of it is used. */
  #table = new Int32Array(1 << 9);

  /** How many different rows there are. */
  get count(): number {
    return this.#count;
  }

  add(word: number): void {
    if (this.#end === this.#words.length) this.#words = enlarged(this.#words);
    this.#words[this.#end++] = word;
    const mixed = Math.imul(this.#hash ^ word, 0x9e3779b1);
    this.#hash = mixed ^ (mixed >>> 15);
  }

  /** Ends the row; the next word begins another. */
  close(): number {
    const hash = this.#hash;
    this.#hash = 0;
    const mask = this.#table.length - 1;
    let place = hash & mask;
    for (let other = this.#table[place] as number; other !== 0; other = this.#table[place] as number) {
      if (this.#hashes[other - 1] === hash && this.#isLike(other - 1)) {
        this.#end = this.#starts[this.#count] as number;
        return other - 1;
      }
      place = (place + 1) & mask;
    }
    this.#hashes[this.#count] = hash;
    this.#table[place] = ++this.#count;
    if (this.#count === this.#hashes.length) {
      this.#starts = enlarged(this.#starts);
      this.#hashes = enlarged(this.#hashes);
      this.#spread();
    }
    this.#starts[this.#count] = this.#end;
    return this.#count - 1;
  }

  /** Whether a row is like the one that is being written. */
  #isLike(row: number): boolean {
    const from = this.#starts[row] as number;
    const own = this.#starts[this.#count] as number;
    const length = this.#end - own;
    if ((this.#starts[row + 1] as number) - from !== length) return false;
    for (let i = 0; i < length; i++) if (this.#words[from + i] !== this.#words[own + i]) return false;
    return true;
  }

  #spread(): void {
    this.#table = new Int32Array(2 * this.#table.length);
    const mask = this.#table.length - 1;
    for (let row = 0; row < this.#count; row++) {
      let place = (this.#hashes[row] as number) & mask;
      while (this.#table[place] !== 0) place = (place + 1) & mask;
      this.#table[place] = row + 1;
    }
  }

  /** All words of all rows as text, for maps. Where a row ends must be told by its words. */
  toString(): string {
    const units = new Uint16Array(this.#words.buffer, 0, 2 * this.#end);
    let text = '';
    for (let i = 0; i < units.length; i += unitsAtOnce)
      text += String.fromCharCode.apply(null, units.subarray(i, i + unitsAtOnce) as unknown as number[]);
    return text;
  }
}

/** Arguments of a call are limited in number. */
const unitsAtOnce = 1 << 13;

const float = new Float64Array(1);
const bits = new Int32Array(float.buffer);

function enlarged(words: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * words.length);
  larger.set(words);
  return larger;
}
